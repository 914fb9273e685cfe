import { describe, expect, it } from '@jest/globals';
import { UsageError } from '../../../src/commands/flags.ts';
import { OPERATOR_FLAGS, parseOperatorOptions, type OperatorOptions } from '../../../src/commands/operator/options.ts';

const image = '--server-image=example.com/copilot:1';
const own = '--operator-image=example.com/operator:1';
const parse = (args: readonly string[], env: NodeJS.ProcessEnv = {}): OperatorOptions =>
  parseOperatorOptions([image, own, ...args], env);

describe('the command line of the operator', () => {
  it('requires only the image of the servers', () => {
    expect(parse([])).toEqual({
      kubeconfig: undefined,
      serverImage: 'example.com/copilot:1',
      operatorImage: 'example.com/operator:1',
      leaderElect: false,
      watchNamespaces: [],
      metrics: undefined,
      healthProbe: undefined,
      concurrency: 8,
      maxConcurrentRollouts: 2,
      maxConcurrentWakes: 8,
      wakes: undefined,
      clusterCIDRs: [],
      clusterDNS: undefined,
      requireSecretLabel: undefined,
      gateway: undefined,
      gatewayInternal: undefined,
      watchNodes: false,
      syncPeriodMs: 36_000_000,
      freezeCaches: false,
      logLevel: 'info',
      namespace: undefined,
      identity: undefined,
    });
  });

  it.each<[string, string[], NodeJS.ProcessEnv, Partial<OperatorOptions>]>([
    ['the image from the environment', [own], { SERVER_IMAGE: 'copilot:env' }, { serverImage: 'copilot:env' }],
    ['its own image from there too', [image], { OPERATOR_IMAGE: 'own:env' }, { operatorImage: 'own:env' }],
    ['the flag before the environment', [image, own], { SERVER_IMAGE: 'x' }, { serverImage: 'example.com/copilot:1' }],
    [
      'its pod’s name and namespace',
      [image, own],
      { POD_NAME: 'operator-1', POD_NAMESPACE: 'ops' },
      { identity: 'operator-1', namespace: 'ops' },
    ],
    ['to elect a leader in a cluster', [image, own], { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, { leaderElect: true }],
    [
      'not to elect one, by a flag',
      [image, own, '--leader-elect=false'],
      { KUBERNETES_SERVICE_HOST: '10.0.0.1' },
      { leaderElect: false },
    ],
  ])('reads %s', (_, args, env, expected) => {
    expect(parseOperatorOptions(args, env)).toMatchObject(expected);
  });

  it.each<[string[], Partial<OperatorOptions>]>([
    [['--leader-elect'], { leaderElect: true }],
    [['--leader-elect', '--concurrency=2'], { leaderElect: true, concurrency: 2 }],
    [['--kubeconfig', '/etc/kubeconfig'], { kubeconfig: '/etc/kubeconfig' }],
    [['--watch-namespaces=a, b,'], { watchNamespaces: ['a', 'b'] }],
    [['--watch-namespaces='], { watchNamespaces: [] }],
    [
      ['--gateway-address=copilot-gateway.operators.svc:4321'],
      { gateway: { host: 'copilot-gateway.operators.svc', port: 4321, serviceAccount: 'copilot-gateway' } },
    ],
    [
      ['--gateway-internal=copilot-gateway:4323', '--gateway-token-file=/run/token'],
      { gatewayInternal: { service: 'copilot-gateway', port: 4323, tokenFile: '/run/token' } },
    ],
    [
      ['--gateway-address=[fd00::1]:443', '--gateway-service-account=door'],
      { gateway: { host: 'fd00::1', port: 443, serviceAccount: 'door' } },
    ],
    [['--require-secret-label=team/tenants'], { requireSecretLabel: { key: 'team/tenants' } }],
    [['--require-secret-label=tenants=yes'], { requireSecretLabel: { key: 'tenants', value: 'yes' } }],
    [['--cluster-cidrs=203.0.113.0/24,2001:db8::/32'], { clusterCIDRs: ['203.0.113.0/24', '2001:db8::/32'] }],
    [
      ['--cluster-dns=10.96.0.10,fd00::a,10.0.0.0/24,dns/example.com/app=unbound'],
      {
        clusterDNS: [
          { cidr: '10.96.0.10/32' },
          { cidr: 'fd00::a/128' },
          { cidr: '10.0.0.0/24' },
          { namespace: 'dns', label: { key: 'example.com/app', value: 'unbound' } },
        ],
      },
    ],
    [['--max-concurrent-rollouts=0'], { maxConcurrentRollouts: 0 }],
    [['--max-concurrent-rollouts', '20'], { maxConcurrentRollouts: 20 }],
    [['--log-level=debug'], { logLevel: 'debug' }],
    [['--metrics-bind-address=:8080'], { metrics: { host: undefined, port: 8080 } }],
    [[], { syncPeriodMs: 36_000_000 }],
    [['--watch-nodes'], { watchNodes: true }],
    [['--watch-nodes=false'], { watchNodes: false }],
    [['--sync-period=90m'], { syncPeriodMs: 5_400_000 }],
    [['--sync-period=0s'], { syncPeriodMs: undefined }],
    [['--metrics-bind-address=0'], { metrics: undefined }],
    [['--health-probe-bind-address=127.0.0.1:8081'], { healthProbe: { host: '127.0.0.1', port: 8081 } }],
    [['--health-probe-bind-address=[::1]:65535'], { healthProbe: { host: '::1', port: 65_535 } }],
  ])('accepts %j', (args, expected) => {
    expect(parse(args)).toMatchObject(expected);
  });

  it.each([
    [['--leader-elect=yes'], '--leader-elect=yes: must be true or false'],
    [['--concurrency=0'], '--concurrency=0: must be a whole number above 0'],
    [['--concurrency=-1'], '--concurrency=-1: must be a whole number above 0'],
    [['--concurrency=1.5'], '--concurrency=1.5: must be a whole number above 0'],
    [['--concurrency='], '--concurrency=: must be a whole number above 0'],
    [['--max-concurrent-rollouts=-1'], '--max-concurrent-rollouts=-1: must be a whole number, 0 or above'],
    [['--max-concurrent-rollouts='], '--max-concurrent-rollouts=: must be a whole number, 0 or above'],
    [['--log-level=loud'], '--log-level=loud: must be one of trace, debug, info, warn, error, fatal'],
    [['--metrics-bind-address=8080'], '--metrics-bind-address=8080: must be [host]:port, or 0 for none'],
    [['--metrics-bind-address=:65536'], '--metrics-bind-address=:65536: must be [host]:port, or 0 for none'],
    [['--health-probe-bind-address=::1:80'], '--health-probe-bind-address=::1:80: must be [host]:port, or 0 for none'],
    [['--cluster-cidrs=10.0.0.0'], '--cluster-cidrs: 10.0.0.0 must be an address range such as 203.0.113.0/24'],
    [['--cluster-cidrs=10.0.0.0/33'], '--cluster-cidrs: 10.0.0.0/33 must be an address range'],
    [['--cluster-dns='], '--cluster-dns=: must name at least one DNS server'],
    [['--cluster-dns=kube-dns'], '--cluster-dns: kube-dns must be an address, a range, or pods as NAMESPACE/KEY=VALUE'],
    [['--gateway-address='], '--gateway-address=: must be HOST:PORT'],
    [['--gateway-internal=copilot-gateway:4323'], '--gateway-internal and --gateway-token-file require each other'],
    [['--gateway-token-file=/token'], 'require each other'],
    [['--gateway-internal=copilot-gateway', '--gateway-token-file=/token'], 'must be SERVICE:PORT'],
    [['--gateway-internal=copilot-gateway:0', '--gateway-token-file=/token'], 'must be SERVICE:PORT'],
    [['--gateway-address=gateway'], '--gateway-address=gateway: must be HOST:PORT'],
    [['--gateway-address=http://gateway:4321'], 'must be HOST:PORT'],
    [['--gateway-address=gateway:0'], 'must be HOST:PORT'],
    [['--gateway-address=gateway:65536'], 'must be HOST:PORT'],
    [['--gateway-address=fd00::1:4321'], 'must be HOST:PORT'],
    [['--gateway-address=[gateway]:4321'], 'must be HOST:PORT'],
    [['--gateway-service-account=Door'], '--gateway-service-account=Door: must be the name of a ServiceAccount'],
    [['--sync-period=10'], '--sync-period=10: must be a duration such as 30m or 10h'],
    [['--sync-period=-1s'], '--sync-period=-1s: must be a duration such as 30m or 10h'],
    [['--replicas=2'], '--replicas'],
    [['--leader-elect', 'false'], "'false'"],
    [['--kubeconfig'], '--kubeconfig'],
  ])('refuses %j, with the accepted values', (args, message) => {
    expect(() => parse(args)).toThrow(UsageError);
    expect(() => parse(args)).toThrow(message);
  });

  it.each([{}, { SERVER_IMAGE: '' }])('refuses to start without an image of the servers: %j', (env) => {
    expect(() => parseOperatorOptions([], env)).toThrow(
      new UsageError('--server-image is required: set it or SERVER_IMAGE to the image of the Copilot CLI server'),
    );
  });

  it.each([{}, { OPERATOR_IMAGE: '' }])('starts without its own image, as with an older chart: %j', (env) => {
    expect(parseOperatorOptions([image], env).operatorImage).toBeUndefined();
  });

  it.each(OPERATOR_FLAGS.match(/--[a-z-]+/g)?.filter((flag, index, all) => all.indexOf(flag) === index) ?? [])(
    'knows %s of the help',
    (flag) => {
      expect(() => parse([`${flag}=`])).not.toThrow(/[Uu]nknown option/);
    },
  );
});
