import { describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import { parseRedisAddress } from '../../../../../src/gateway/locks/redis/address.ts';
import { explainRedis } from '../../../../../src/gateway/locks/redis/explain.ts';
import { UNAVAILABLE_REASONS, type UnavailableReason } from '../../../../../src/gateway/locks/store.ts';

const PLAIN = parseRedisAddress('redis://redis:6379');
const SENTINEL = parseRedisAddress('redis+sentinel://a,b/main');
const withCode = (code: string, message = '') => Object.assign(new Error(message), { code });

describe('what goes wrong with Redis', () => {
  it.each<[string, Error, UnavailableReason, string]>([
    [
      'a refused connection',
      withCode('ECONNREFUSED', 'connect ECONNREFUSED 10.0.0.1:6379'),
      'Unreachable',
      '--redis-url',
    ],
    [
      'an unknown name',
      withCode('ENOTFOUND', 'getaddrinfo ENOTFOUND redis'),
      'Unreachable',
      'gateway.coordination.redis.url',
    ],
    ['a server that may expect TLS', new Error('Connection is closed.'), 'Unreachable', 'rediss://'],
    ['a time-out', withCode('ETIMEDOUT', 'connect ETIMEDOUT'), 'TimedOut', 'NetworkPolicy'],
    ['no password', new Error('NOAUTH Authentication required.'), 'AccessDenied', '--redis-password-file'],
    ['a wrong password', new Error('WRONGPASS invalid username-password pair'), 'AccessDenied', 'secretName'],
    [
      'a missing right',
      new Error("NOPERM User x has no permissions to run the 'hset' command"),
      'AccessDenied',
      'docs/gateway.md',
    ],
    [
      'a private authority',
      withCode('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate'),
      'UntrustedTLS',
      '--redis-ca-file',
    ],
    [
      'another name in the certificate',
      withCode('ERR_TLS_CERT_ALTNAME_INVALID', 'altnames'),
      'UntrustedTLS',
      'caSecretName',
    ],
    [
      'TLS to a plain port',
      withCode('ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version number'),
      'UntrustedTLS',
      'redis://',
    ],
    ['no memory', new Error("OOM command not allowed when used memory > 'maxmemory'."), 'Full', 'maxmemory'],
    ['a replica', new Error("READONLY You can't write against a read only replica."), 'ReadOnly', 'Sentinels'],
    ['a full disk', new Error('MISCONF Redis is configured to save RDB snapshots'), 'NotServing', 'disk'],
    [
      'too few replicas',
      new Error('NOREPLICAS Not enough good replicas to write.'),
      'NotServing',
      'min-replicas-to-write',
    ],
    ['a start', new Error('LOADING Redis is loading the dataset in memory'), 'NotServing', 'wait'],
    ['a cluster with a hole', new Error('CLUSTERDOWN Hash slot not served'), 'NotServing', 'CLUSTER INFO'],
    ['a cluster that was not expected', new Error('MOVED 1 10.0.0.1:6379'), 'NotServing', 'redis+cluster://'],
    ['no cluster', new Error('ERR This instance has cluster support disabled'), 'NotServing', 'redis://'],
    ['a foreign key', new Error('WRONGTYPE Operation against a key'), 'Unreadable', 'delete it'],
    ['an old command set', new Error("ERR unknown command 'HELLO'"), 'NotServing', '6.2'],
  ])('is named, with a remedy: %s', (_what, error, reason, remedy) => {
    const problem = explainRedis(error, PLAIN);
    expect(problem.reason).toBe(reason);
    expect(problem.message).toContain('Redis at redis://redis:6379: ');
    expect(problem.message).toContain(remedy);
  });

  it('is that of the last node or address, where there are several', () => {
    const refused = withCode('ECONNREFUSED', 'connect ECONNREFUSED 10.0.0.1:6379');
    const cluster = Object.assign(new Error('Failed to refresh slots cache.'), {
      lastNodeError: new Error('WRONGPASS x'),
    });
    expect(explainRedis(cluster, PLAIN).reason).toBe('AccessDenied');
    expect(explainRedis(new AggregateError([refused]), PLAIN).message).toContain('ECONNREFUSED');
  });

  it('says which server no Sentinel knows', () => {
    const error = new Error('connected to sentinel a:26379 successfully, but got an invalid reply: null');
    expect(explainRedis(error, SENTINEL).message).toContain('"main"');
  });

  it('has nothing of the error itself, which has a password among its arguments', () => {
    const error = Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: ['alice', 'hush'] } });
    const problem = explainRedis(error, PLAIN);
    expect(problem.cause).toBeUndefined();
    expect(inspect(problem)).not.toContain('hush');
  });

  it('has reasons of a fixed set', () => {
    expect(UNAVAILABLE_REASONS).toContain(explainRedis('?', PLAIN).reason);
  });
});
