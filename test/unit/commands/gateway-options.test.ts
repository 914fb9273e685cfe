import { describe, expect, it } from '@jest/globals';
import { UsageError } from '../../../src/commands/flags.ts';
import { GATEWAY_FLAGS, parseGatewayOptions, type GatewayOptions } from '../../../src/commands/gateway/options.ts';

const tls = ['--tls-port=4322', '--tls-cert-file=/tls/tls.crt', '--tls-key-file=/tls/tls.key'];

describe('the command line of the gateway', () => {
  it('requires nothing', () => {
    expect(parseGatewayOptions([])).toEqual({
      kubeconfig: undefined,
      listenPort: 4321,
      tls: undefined,
      oidcConfig: undefined,
      proxies: undefined,
      maxConnections: 20_000,
      maxConnectionsPerTenant: 5_000,
      keepaliveMs: undefined,
      maxUnreadBytes: 134_217_728,
      maxKeptBytes: 67_108_864,
      drainTimeoutMs: 3_600_000,
      watchNamespaces: [],
      healthPort: undefined,
      metricsPort: undefined,
      serverMetrics: false,
      internalPort: undefined,
      namespace: undefined,
      peerPort: undefined,
      coordination: { type: 'kubernetes' },
      pod: { name: undefined, uid: undefined, ip: undefined },
      logLevel: 'info',
    });
  });

  it.each<[string, string[], Partial<GatewayOptions>]>([
    [
      'other ports',
      ['--listen-port=1', '--health-port=2', '--metrics-port=65535', '--internal-port=3', '--peer-port=4'],
      { listenPort: 1, healthPort: 2, metricsPort: 65_535, internalPort: 3, peerPort: 4 },
    ],
    ['metrics of servers', ['--server-metrics=true'], { serverMetrics: true }],
    ['TLS', tls, { tls: { port: 4322, cert: '/tls/tls.crt', key: '/tls/tls.key', clientCA: undefined } }],
    ['TLS only', [...tls, '--listen-port=0'], { listenPort: undefined }],
    [
      'certificates of clients',
      [...tls, '--tls-client-ca-file=/ca'],
      { tls: { port: 4322, cert: '/tls/tls.crt', key: '/tls/tls.key', clientCA: '/ca' } },
    ],
    ['issuers of OIDC tokens', ['--oidc-config=/oidc.yaml'], { oidcConfig: '/oidc.yaml' }],
    ['no time to leave', ['--drain-timeout=0s'], { drainTimeoutMs: 0 }],
    ['messages to silent clients', ['--keepalive-messages=45s'], { keepaliveMs: 45_000 }],
    ['few connections', ['--max-connections=2'], { maxConnections: 2, maxConnectionsPerTenant: 1 }],
    ['one tenant only', ['--max-connections-per-tenant=20000'], { maxConnectionsPerTenant: 20_000 }],
    ['more memory for what is kept', ['--max-kept-bytes=1Gi'], { maxKeptBytes: 1_073_741_824 }],
    ['less memory for slow clients', ['--max-unread-bytes=1500k'], { maxUnreadBytes: 1_500_000 }],
    ['a store in memory', ['--coordination=memory'], { coordination: { type: 'memory' } }],
    [
      'a store in Redis',
      ['--coordination=redis', '--redis-url=redis://redis:6379', '--peer-port=4324'],
      {
        coordination: {
          type: 'redis',
          redis: {
            address: expect.objectContaining({ kind: 'Single', text: 'redis://redis:6379' }) as never,
            username: undefined,
            passwordFile: undefined,
            sentinelPasswordFile: undefined,
            caFile: undefined,
          },
        },
      },
    ],
    ['some namespaces', ['--watch-namespaces=a,b'], { watchNamespaces: ['a', 'b'] }],
  ])('takes %s', (_, args, expected) => {
    expect(parseGatewayOptions(args)).toMatchObject(expected);
  });

  it('takes the addresses of load balancers', () => {
    const { proxies } = parseGatewayOptions(['--proxy-protocol-from=10.0.0.0/8, 192.0.2.1,2001:db8::/32,fd00::1']);
    const listed = (address: string, family: 'ipv4' | 'ipv6') => proxies?.check(address, family);
    expect([listed('10.1.2.3', 'ipv4'), listed('192.0.2.1', 'ipv4'), listed('192.0.2.2', 'ipv4')]).toEqual([
      true,
      true,
      false,
    ]);
    expect([listed('2001:db8:1::1', 'ipv6'), listed('fd00::1', 'ipv6'), listed('fd00::2', 'ipv6')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(listed('::ffff:10.1.2.3', 'ipv6')).toBe(true);
  });

  it.each([
    ['no port at all', ['--listen-port=0'], 'both 0'],
    ['a port beyond', ['--listen-port=65536'], 'must be a port'],
    ['a name as port', ['--health-port=http'], '--health-port=http'],
    ['a TLS port without files', ['--tls-port=4322'], 'requires --tls-cert-file and --tls-key-file'],
    ['a certificate without a TLS port', ['--tls-cert-file=/tls/tls.crt'], 'require --tls-port'],
    ['an authority without a TLS port', ['--tls-client-ca-file=/ca'], 'require --tls-port'],
    ['a name as load balancer', ['--proxy-protocol-from=lb.example.com'], 'lb.example.com must be an IP address'],
    ['a range of nothing', ['--proxy-protocol-from=10.0.0.0/33'], '10.0.0.0/33 must be'],
    ['no connections', ['--max-connections=0'], '--max-connections=0'],
    ['no connections of a tenant', ['--max-connections-per-tenant=0'], '--max-connections-per-tenant=0'],
    ['a size that is none', ['--max-unread-bytes=large'], '--max-unread-bytes=large'],
    ['no memory', ['--max-unread-bytes=0'], '--max-unread-bytes=0'],
    ['a duration without a unit', ['--drain-timeout=60'], '--drain-timeout=60'],
    ['a store that is none', ['--coordination=etcd'], '--coordination=etcd: must be one of kubernetes, redis, memory'],
    [
      'a store in memory of several replicas',
      ['--coordination=memory', '--peer-port=4324'],
      '--coordination=memory is for a gateway with one replica',
    ],
    ['Redis without an address', ['--coordination=redis'], '--coordination=redis requires --redis-url'],
    ['a wrong address of Redis', ['--coordination=redis', '--redis-url=redis'], '--redis-url: it must be redis://'],
    ['Redis for another store', ['--redis-url=redis://a'], '--redis-url requires --coordination=redis'],
    [
      'a user of Redis without a password',
      ['--coordination=redis', '--redis-url=redis://a', '--redis-username=b'],
      '--redis-username requires --redis-password-file',
    ],
    [
      'an authority without TLS to Redis',
      ['--coordination=redis', '--redis-url=redis://a', '--redis-ca-file=/ca'],
      '--redis-ca-file requires a --redis-url with rediss',
    ],
    [
      'a password of Sentinels that are none',
      ['--coordination=redis', '--redis-url=redis://a', '--redis-sentinel-password-file=/s'],
      '--redis-sentinel-password-file requires',
    ],
    ['an unknown flag', ['--gateway'], '--gateway'],
    ['a further word', ['now'], 'now'],
  ])('refuses %s', (_, args, message) => {
    expect(() => parseGatewayOptions(args)).toThrow(UsageError);
    expect(() => parseGatewayOptions(args)).toThrow(message);
  });

  it('is what the help lists', () => {
    const listed = [...GATEWAY_FLAGS.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name);
    for (const name of listed) expect(() => parseGatewayOptions([`--${name}=`])).not.toThrow(/Unknown option/);
    expect(listed).toHaveLength(29);
  });

  it('shows no password that somebody wrote into the address of Redis', () => {
    const parse = () => parseGatewayOptions(['--coordination=redis', '--redis-url=redis://u:hush@redis']);
    expect(parse).toThrow(/--redis-password-file/);
    expect(parse).not.toThrow(/hush/);
  });
});
