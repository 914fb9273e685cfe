import { describe, expect, it } from '@jest/globals';
import { parseRedisAddress, type RedisAddress } from '../../../../../src/gateway/locks/redis/address.ts';

describe('the address of Redis', () => {
  it.each<[string, Partial<RedisAddress>]>([
    ['redis://redis', { kind: 'Single', endpoints: [{ host: 'redis', port: 6379 }], db: 0, isTLS: false }],
    ['redis://redis.team.svc:6380/3', { endpoints: [{ host: 'redis.team.svc', port: 6380 }], db: 3 }],
    ['rediss://[fd00::1]:6379', { endpoints: [{ host: 'fd00::1', port: 6379 }], isTLS: true }],
    [
      'redis+sentinel://a,b:26380/main',
      {
        kind: 'Sentinel',
        master: 'main',
        endpoints: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 26_380 },
        ],
      },
    ],
    ['rediss+sentinel://a/main/2', { kind: 'Sentinel', master: 'main', db: 2, isTLS: true }],
    [
      'redis+cluster://a:1,b:2',
      {
        kind: 'Cluster',
        endpoints: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
  ])('is %s', (text, expected) => {
    expect(parseRedisAddress(text)).toMatchObject({ ...expected, text });
  });

  it.each([
    ['', 'must be redis://HOST:PORT'],
    ['redis', 'must be redis://HOST:PORT'],
    ['https://redis:6379', 'must be redis://HOST:PORT'],
    ['redis+other://redis', 'must be redis://HOST:PORT'],
    ['redis://redis?db=1', 'must be redis://HOST:PORT'],
    ['redis://', 'must be redis://HOST:PORT'],
    ['redis://a,b', 'redis+sentinel:// or redis+cluster://'],
    ['redis://a:0', '"a:0" must be HOST:PORT'],
    ['redis://a:65536', '"a:65536" must be HOST:PORT'],
    ['redis://fd00::1', '"fd00::1" must be HOST:PORT'],
    ['redis://[x]:1', '"[x]:1" must be HOST:PORT'],
    ['redis://a b', '"a b" must be HOST:PORT'],
    ['redis://a/x', '"x" must be the number of a database'],
    ['redis://a/1/2', '"1/2" must be the number of a database'],
    ['redis+sentinel://a', 'lacks the name'],
    ['redis+sentinel://a/', 'lacks the name'],
    ['redis+sentinel://a/main/x', '"x" must be the number of a database'],
    ['redis+cluster://a/1', 'no databases'],
  ])('is not %s', (text, message) => {
    expect(() => parseRedisAddress(text)).toThrow(message);
  });

  it('has no password in it, which no message shows', () => {
    expect(() => parseRedisAddress('redis://alice:hush@redis:6379')).toThrow(/--redis-password-file/);
    expect(() => parseRedisAddress('redis://alice:hush@redis:6379')).not.toThrow(/hush/);
  });
});
