/** The command line of `copilot-operator operator`. */
import { isIPv6 } from 'node:net';
import { GATEWAY_APP_NAME } from '../../api/names.ts';
import type { Address } from '../../kube/runtime/listen.ts';
import type { InternalPort } from '../../tenant/ask-gateway.ts';
import type { DNSServer, GatewayFacts, RequiredLabel } from '../../tenant/model.ts';
import {
  duration,
  flag,
  isCIDR,
  list,
  LOG_LEVELS,
  notNegative,
  oneOf,
  parseFlags,
  positive,
  UsageError,
  type LogLevel,
} from '../flags.ts';
import { clusterDNSFlag } from './cluster-dns.ts';

/** The options of the operator. */
export interface OperatorOptions {
  /** Path of a kubeconfig; without it `KUBECONFIG`, then the pod's service account. */
  readonly kubeconfig: string | undefined;
  /** Image of the servers of tenants without `spec.server.image`. */
  readonly serverImage: string;
  /** The operator's own image, whose command `cleanup` runs in the tenants' namespaces; without it there is no cleanup. */
  readonly operatorImage: string | undefined;
  /** Several replicas may run: one of them leads. */
  readonly leaderElect: boolean;
  /** Empty: all namespaces. */
  readonly watchNamespaces: readonly string[];
  /** Where /metrics is served; undefined: nowhere. */
  readonly metrics: Address | undefined;
  /** Where the probes are served; undefined: nowhere. */
  readonly healthProbe: Address | undefined;
  /** Tenants, and sessions, that are reconciled at the same time. */
  readonly concurrency: number;
  /** Servers of all tenants that are replaced at the same time for a new operator version, or because they do not respond. */
  readonly maxConcurrentRollouts: number;
  /** Sleeping tenants that are started at the same time. */
  readonly maxConcurrentWakes: number;
  /** Where the gateway asks for tenants to be woken, and the address that it is told; undefined: nowhere, and no tenant sleeps. */
  readonly wakes: { readonly at: Address; readonly host: string } | undefined;
  /** Public address ranges of the cluster, blocked for tenants with policy Restricted. */
  readonly clusterCIDRs: readonly string[];
  /** DNS servers that tenants' pods may reach; undefined: the usual ones. */
  readonly clusterDNS: readonly DNSServer[] | undefined;
  /** The label that a Secret must have before a tenant may refer to it; undefined: any Secret of its namespace. */
  readonly requireSecretLabel: RequiredLabel | undefined;
  /** The gateway that clients of tenants connect to; undefined: none is installed. */
  readonly gateway: GatewayFacts | undefined;
  /** Where the replicas of the gateway are asked for their clients; undefined: they are not. */
  readonly gatewayInternal: (Omit<InternalPort, 'keys'> & { readonly service: string }) | undefined;
  /** Whether it looks which nodes are cordoned, and moves servers away from them; it needs the right to list nodes. */
  readonly watchNodes: boolean;
  /** After how long every tenant and session is reconciled again, though nothing has changed; undefined: never. */
  readonly syncPeriodMs: number | undefined;
  /** For tests: what modifies an object of a cache gets an error. */
  readonly freezeCaches: boolean;
  readonly logLevel: LogLevel;
  /** Namespace of the Lease, and of the pods that NetworkPolicies accept pings from; undefined: that of the credentials. */
  readonly namespace: string | undefined;
  /** Name of this process among the replicas. */
  readonly identity: string | undefined;
}

/** The flags as the help lists them. */
export const OPERATOR_FLAGS = `\
  --kubeconfig PATH                  kubeconfig file; default: $KUBECONFIG, else the pod's service account
  --server-image IMAGE               default image of the servers ($SERVER_IMAGE); required
  --operator-image IMAGE             image of the operator itself, for the Jobs that clean up sessions ($OPERATOR_IMAGE)
  --leader-elect[=true|false]        elect a leader among the replicas; default: true in a cluster, false outside
  --watch-namespaces A,B             namespaces to watch; default: all
  --metrics-bind-address ADDR        [host]:port of /metrics, or 0 to disable it; default: 0
  --health-probe-bind-address ADDR   [host]:port of /healthz, /readyz and /livez, or 0 to disable them; default: 0
  --concurrency N                    number of tenants, and of sessions, to reconcile at the same time; default: 8
  --max-concurrent-rollouts N        number of servers to replace at the same time for a new pod template or default image; default: 2;
                                     0: none is replaced for that. Servers that do not respond are restarted at the same pace
  --wake-bind-address ADDR           [host]:port where the gateway asks for sleeping tenants to be woken, or 0 to disable it: then none sleeps. It
                                     requires --leader-elect, because the Lease says where the leader is; default: 0
  --max-concurrent-wakes N           number of sleeping tenants to start at the same time; default: 8
  --cluster-cidrs A,B                public address ranges of this cluster, blocked for tenants with policy Restricted
  --cluster-dns A,B                  the DNS servers that servers and cleanups may query, instead of the usual ones: addresses, ranges, or
                                     pods as NAMESPACE/KEY=VALUE; default: kube-dns and node-local-dns in kube-system, OpenShift's,
                                     169.254.20.10, and the nameservers of the operator's own pod
  --require-secret-label KEY[=VALUE] label that a Secret must have before spec.model of a tenant may refer to it; default: none
  --gateway-address HOST:PORT        where clients reach the gateway, which new tenants then use; default: none is installed
  --gateway-service-account NAME     ServiceAccount of the gateway, in the operator's namespace; default: ${GATEWAY_APP_NAME}
  --gateway-internal SERVICE:PORT    Service of the gateway, in the operator's namespace, and its internal port: its replicas are asked for
                                     the clients of each tenant; default: they are not
  --gateway-token-file PATH          Kubernetes token for that port, with the audience copilot-gateway-internal; read again each time
  --watch-nodes[=true|false]         see which nodes are cordoned, to drain the servers on them that clients reach through the gateway, and to
                                     move them to other nodes: their evictions are refused meanwhile; default: false
  --sync-period DURATION             reconcile every tenant and session again after this time, for safety; 0s: never; default: 10h
  --log-level LEVEL                  one of ${LOG_LEVELS.join(', ')}; default: info`;

const flags = {
  kubeconfig: { type: 'string' },
  'server-image': { type: 'string' },
  'operator-image': { type: 'string' },
  'leader-elect': { type: 'string' },
  'watch-namespaces': { type: 'string' },
  'metrics-bind-address': { type: 'string' },
  'health-probe-bind-address': { type: 'string' },
  concurrency: { type: 'string' },
  'max-concurrent-rollouts': { type: 'string' },
  'wake-bind-address': { type: 'string' },
  'max-concurrent-wakes': { type: 'string' },
  'cluster-cidrs': { type: 'string' },
  'cluster-dns': { type: 'string' },
  'require-secret-label': { type: 'string' },
  'gateway-address': { type: 'string' },
  'gateway-service-account': { type: 'string' },
  'gateway-internal': { type: 'string' },
  'gateway-token-file': { type: 'string' },
  'watch-nodes': { type: 'string' },
  'sync-period': { type: 'string' },
  'log-level': { type: 'string' },
} as const;

/** Flags that may stand without a value. */
const BARE: ReadonlySet<string> = new Set(['--leader-elect', '--watch-nodes']);

/** @throws UsageError */
export function parseOperatorOptions(args: readonly string[], env: NodeJS.ProcessEnv): OperatorOptions {
  const values = parseFlags(
    args.map((arg) => (BARE.has(arg) ? `${arg}=true` : arg)),
    flags,
  );
  const serverImage = values['server-image'] ?? env['SERVER_IMAGE'];
  if (!serverImage) {
    throw new UsageError('--server-image is required: set it or SERVER_IMAGE to the image of the Copilot CLI server');
  }
  const operatorImage = (values['operator-image'] ?? env['OPERATOR_IMAGE']) || undefined;
  const leaderElect = flag(
    'leader-elect',
    values['leader-elect'] ?? String(env['KUBERNETES_SERVICE_HOST'] !== undefined),
  );
  const wakesAt = bindAddress('wake-bind-address', values['wake-bind-address']);
  if (wakesAt !== undefined && !leaderElect) {
    throw new UsageError('--wake-bind-address requires --leader-elect: the Lease says where the leader is');
  }
  return {
    kubeconfig: values.kubeconfig,
    serverImage,
    operatorImage,
    leaderElect,
    watchNamespaces: list(values['watch-namespaces']),
    metrics: bindAddress('metrics-bind-address', values['metrics-bind-address']),
    healthProbe: bindAddress('health-probe-bind-address', values['health-probe-bind-address']),
    concurrency: positive('concurrency', values.concurrency ?? '8'),
    maxConcurrentRollouts: notNegative('max-concurrent-rollouts', values['max-concurrent-rollouts'] ?? '2'),
    maxConcurrentWakes: positive('max-concurrent-wakes', values['max-concurrent-wakes'] ?? '8'),
    wakes: wakesAt && { at: wakesAt, host: env['POD_IP'] ?? wakesAt.host ?? '127.0.0.1' },
    clusterCIDRs: addressRanges('cluster-cidrs', values['cluster-cidrs']),
    clusterDNS: clusterDNSFlag(values['cluster-dns']),
    requireSecretLabel: requiredLabel(values['require-secret-label']),
    gateway: gateway(values['gateway-address'], values['gateway-service-account']),
    gatewayInternal: gatewayInternal(values['gateway-internal'], values['gateway-token-file']),
    watchNodes: flag('watch-nodes', values['watch-nodes'] ?? 'false'),
    syncPeriodMs: duration('sync-period', values['sync-period'] ?? '10h') || undefined,
    // client-go's variable, for the same.
    freezeCaches: env['KUBE_CACHE_MUTATION_DETECTOR'] === 'true',
    logLevel: oneOf('log-level', values['log-level'] ?? 'info', LOG_LEVELS),
    namespace: env['POD_NAMESPACE'],
    identity: env['POD_NAME'],
  };
}

// The API server would refuse every tenant's NetworkPolicy because of one that is malformed.
function addressRanges(name: string, text: string | undefined): string[] {
  const ranges = list(text);
  const wrong = ranges.find((range) => !isCIDR(range));
  if (wrong !== undefined) throw new UsageError(`--${name}: ${wrong} must be an address range such as 203.0.113.0/24`);
  return ranges;
}

const LABEL_NAME = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/;

// Without a value, any value of the label is accepted. An empty flag is rejected: a mistake in a script must not remove the restriction.
function requiredLabel(text: string | undefined): RequiredLabel | undefined {
  if (text === undefined) return undefined;
  const [key = '', ...rest] = text.split('=');
  const value = rest.length === 0 ? undefined : rest.join('=');
  if (!LABEL_NAME.test(key) || !LABEL_VALUE.test(value ?? '')) {
    throw new UsageError(`--require-secret-label=${text}: must be a label key, or KEY=VALUE`);
  }
  return { key, ...(value !== undefined && { value }) };
}

const DNS_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

// Checked here: it is copied to the binding Secret of every tenant, and the name to a RoleBinding.
function gateway(address: string | undefined, serviceAccount: string = GATEWAY_APP_NAME): GatewayFacts | undefined {
  if (!DNS_NAME.test(serviceAccount)) {
    throw new UsageError(`--gateway-service-account=${serviceAccount}: must be the name of a ServiceAccount`);
  }
  if (address === undefined) return undefined;
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const [host = '', port] = [match?.[1] ?? match?.[2], Number(match?.[3])];
  const isHost = match?.[1] === undefined ? DNS_NAME.test(host) : isIPv6(host);
  if (!match || !isHost || port < 1 || port > 65_535) {
    throw new UsageError(`--gateway-address=${address}: must be HOST:PORT, such as copilot-gateway.operators.svc:4321`);
  }
  return { host, port, serviceAccount };
}

function gatewayInternal(at: string | undefined, tokenFile: string | undefined): OperatorOptions['gatewayInternal'] {
  if (at === undefined && tokenFile === undefined) return undefined;
  if (!at || !tokenFile) throw new UsageError('--gateway-internal and --gateway-token-file require each other');
  const [, service = '', port = ''] = /^([-a-z0-9]{1,63}):(\d{1,5})$/.exec(at) ?? [];
  if (service === '' || Number(port) < 1 || Number(port) > 65_535) {
    throw new UsageError(`--gateway-internal=${at}: must be SERVICE:PORT, such as copilot-gateway:4323`);
  }
  return { service, port: Number(port), tokenFile };
}

// As in controller-runtime: `:8081`, `127.0.0.1:8081`, `[::1]:8081`, and `0` for none.
function bindAddress(name: string, value = '0'): Address | undefined {
  if (value === '0') return undefined;
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw new UsageError(`--${name}=${value}: must be [host]:port, or 0 for none`);
  return { host: match[1] ?? (match[2] || undefined), port };
}
