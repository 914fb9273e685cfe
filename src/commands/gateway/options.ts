/** The command line of `copilot-operator gateway`. */
import { BlockList, isIP } from 'node:net';
import {
  bytes,
  duration,
  flag,
  isCIDR,
  list,
  LOG_LEVELS,
  type LogLevel,
  oneOf,
  parseFlags,
  port,
  positive,
  UsageError,
} from '../flags.ts';
import {
  COORDINATION_FLAGS,
  coordinationFlags,
  coordinationOptions,
  type CoordinationOptions,
} from './coordination-options.ts';

/** The options of the gateway. */
export interface GatewayOptions {
  /** Path of a kubeconfig; without it `KUBECONFIG`, then the pod's service account. */
  readonly kubeconfig: string | undefined;
  /** Where clients connect without TLS; undefined: nowhere. */
  readonly listenPort: number | undefined;
  /** Where clients connect with TLS, and its files; undefined: nowhere. */
  readonly tls: TlsOptions | undefined;
  /** Path of the file that names the issuers of OIDC tokens; undefined: none are accepted. */
  readonly oidcConfig: string | undefined;
  /** Load balancers whose connections begin with a PROXY protocol header; undefined: none. */
  readonly proxies: BlockList | undefined;
  /** Connections of clients at once. */
  readonly maxConnections: number;
  /** Admitted clients of one tenant at once. */
  readonly maxConnectionsPerTenant: number;
  /** Within how many ms a client is sent something, if need be a message without content; undefined: nothing but what servers send. */
  readonly keepaliveMs: number | undefined;
  /** Bytes that all clients together may have yet to read. */
  readonly maxUnreadBytes: number;
  /** Bytes that are kept of all tenants together, beyond which one with more than a fair share is refused more. */
  readonly maxKeptBytes: number;
  /** How long this process may take to let its clients go when it is to stop, ms. */
  readonly drainTimeoutMs: number;
  /** The gateway's own namespace, from the environment variable POD_NAMESPACE: of its Secret, and of rights on the internal port; undefined: that of the kubeconfig. */
  readonly namespace: string | undefined;
  /** Empty: all namespaces. */
  readonly watchNamespaces: readonly string[];
  /** Where the probes are served; undefined: nowhere. */
  readonly healthPort: number | undefined;
  /** Where /metrics is served; undefined: nowhere. */
  readonly metricsPort: number | undefined;
  /** Whether `/metrics` has a series for each server. */
  readonly serverMetrics: boolean;
  /** Where operator and people look at clients and sessions; undefined: nowhere. */
  readonly internalPort: number | undefined;
  /** Where other replicas connect to this one; undefined: there are none. */
  readonly peerPort: number | undefined;
  /** Where replicas agree on sessions of tenants with shared storage. */
  readonly coordination: CoordinationOptions;
  /** How the operator is asked to wake tenants: its Lease, in the gateway's namespace, and the file of a token for it; undefined: it is not. */
  readonly operator: { readonly lease: string; readonly tokenFile: string } | undefined;
  /** This replica's pod, from the environment variables POD_NAME, POD_UID and POD_IP; outside of a pod they are undefined. */
  readonly pod: {
    readonly name: string | undefined;
    readonly uid: string | undefined;
    readonly ip: string | undefined;
  };
  readonly logLevel: LogLevel;
}

/** Port and files of the TLS listener. */
export interface TlsOptions {
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  /** Undefined: clients need no certificate. */
  readonly clientCA: string | undefined;
}

/** The flags as the help lists them. */
export const GATEWAY_FLAGS = `\
  --kubeconfig PATH                  kubeconfig file; default: $KUBECONFIG, else the pod's service account
  --listen-port PORT                 port for clients, or 0 for none; default: 4321
  --tls-port PORT                    port for clients with TLS, or 0 for none; default: 0
  --tls-cert-file PATH               certificate of --tls-port, PEM; read again when it changes
  --tls-key-file PATH                key of that certificate
  --tls-client-ca-file PATH          what the certificates of clients must be signed with; default: clients need none
  --oidc-config PATH                 file that names the issuers of OIDC tokens, see docs/gateway.md; default: no such tokens
  --proxy-protocol-from A,B          addresses or ranges of load balancers, whose connections must begin with a PROXY protocol header
  --max-connections N                clients at the same time, on each port; default: 20000
  --max-connections-per-tenant N     clients of one tenant at the same time, so that none takes the places of others; default: a quarter of
                                     --max-connections
  --keepalive-messages DURATION      within this time each client is sent something, if need be a message that SDKs ignore; for proxies
                                     that end TCP themselves and close what is silent; 0s: none; default: 0s
  --max-unread-bytes QUANTITY        what is kept of all clients together that do not read fast enough; beyond it the one with the most is
                                     closed; default: 128Mi
  --max-kept-bytes QUANTITY          what is kept of all tenants together, such as requests that are not answered, prompts and declarations;
                                     beyond it a tenant with more than a fair share is refused further ones; default: 64Mi
  --drain-timeout DURATION           how long clients may stay when the process is to stop, which are closed between turns at the end
                                     of it; set it a little below the pod's terminationGracePeriodSeconds; default: 1h
  --watch-namespaces A,B             namespaces of the tenants to serve; default: all
  --health-port PORT                 port of /healthz, /readyz and /livez, or 0 to disable them; default: 0
  --metrics-port PORT                port of /metrics, or 0 to disable it; default: 0
  --server-metrics BOOL              serve the turns and sessions of each server at --metrics-port, with the name of its tenant: true or false;
                                     default: false
  --internal-port PORT               port of /tenants, /clients and /sessions, for Kubernetes tokens with the audience
                                     copilot-gateway-internal, or 0 to disable it; default: 0
  --peer-port PORT                   port where other replicas connect to this one, or 0 for a gateway that has one replica only;
                                     default: 0
${COORDINATION_FLAGS}
  --operator-lease NAME              Lease of the operator, in the gateway's namespace, which says where sleeping tenants are woken; default:
                                     none is woken
  --operator-token-file PATH         Kubernetes token for that, with the audience copilot-operator-internal; read again each time
  --log-level LEVEL                  one of ${LOG_LEVELS.join(', ')}; default: info`;

const flags = {
  kubeconfig: { type: 'string' },
  'listen-port': { type: 'string' },
  'tls-port': { type: 'string' },
  'tls-cert-file': { type: 'string' },
  'tls-key-file': { type: 'string' },
  'tls-client-ca-file': { type: 'string' },
  'oidc-config': { type: 'string' },
  'proxy-protocol-from': { type: 'string' },
  'max-connections': { type: 'string' },
  'max-connections-per-tenant': { type: 'string' },
  'keepalive-messages': { type: 'string' },
  'max-unread-bytes': { type: 'string' },
  'max-kept-bytes': { type: 'string' },
  'drain-timeout': { type: 'string' },
  'watch-namespaces': { type: 'string' },
  'health-port': { type: 'string' },
  'metrics-port': { type: 'string' },
  'server-metrics': { type: 'string' },
  'internal-port': { type: 'string' },
  'peer-port': { type: 'string' },
  ...coordinationFlags,
  'operator-lease': { type: 'string' },
  'operator-token-file': { type: 'string' },
  'log-level': { type: 'string' },
} as const;

/** @throws UsageError */
export function parseGatewayOptions(args: readonly string[], env: NodeJS.ProcessEnv = {}): GatewayOptions {
  const values = parseFlags(args, flags);
  const listenPort = port('listen-port', values['listen-port'] ?? '4321');
  const tls = tlsOptions({
    at: port('tls-port', values['tls-port'] ?? '0'),
    cert: values['tls-cert-file'],
    key: values['tls-key-file'],
    clientCA: values['tls-client-ca-file'],
  });
  if (listenPort === undefined && tls === undefined) {
    throw new UsageError('--listen-port and --tls-port are both 0: clients need one of them');
  }
  const peerPort = port('peer-port', values['peer-port'] ?? '0');
  const maxConnections = positive('max-connections', values['max-connections'] ?? '20000');
  const perTenant = values['max-connections-per-tenant'] ?? String(Math.ceil(maxConnections / 4));
  return {
    kubeconfig: values.kubeconfig,
    listenPort,
    tls,
    oidcConfig: values['oidc-config'],
    proxies: addresses('proxy-protocol-from', values['proxy-protocol-from']),
    maxConnections,
    maxConnectionsPerTenant: positive('max-connections-per-tenant', perTenant),
    keepaliveMs: duration('keepalive-messages', values['keepalive-messages'] ?? '0s') || undefined,
    maxKeptBytes: bytes('max-kept-bytes', values['max-kept-bytes'] ?? '64Mi'),
    maxUnreadBytes: bytes('max-unread-bytes', values['max-unread-bytes'] ?? '128Mi'),
    drainTimeoutMs: duration('drain-timeout', values['drain-timeout'] ?? '1h'),
    namespace: env['POD_NAMESPACE'],
    watchNamespaces: list(values['watch-namespaces']),
    healthPort: port('health-port', values['health-port'] ?? '0'),
    metricsPort: port('metrics-port', values['metrics-port'] ?? '0'),
    serverMetrics: flag('server-metrics', values['server-metrics'] ?? 'false'),
    internalPort: port('internal-port', values['internal-port'] ?? '0'),
    peerPort,
    coordination: coordinationOptions(values, peerPort !== undefined),
    operator: operatorAt(values['operator-lease'], values['operator-token-file']),
    pod: { name: env['POD_NAME'], uid: env['POD_UID'], ip: env['POD_IP'] },
    logLevel: oneOf('log-level', values['log-level'] ?? 'info', LOG_LEVELS),
  };
}

function operatorAt(lease: string | undefined, tokenFile: string | undefined): GatewayOptions['operator'] {
  if (lease === undefined && tokenFile === undefined) return undefined;
  if (!lease || !tokenFile) throw new UsageError('--operator-lease and --operator-token-file require each other');
  return { lease, tokenFile };
}

interface TlsFlags {
  readonly at: number | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly clientCA: string | undefined;
}

function tlsOptions({ at, cert, key, clientCA }: TlsFlags): TlsOptions | undefined {
  if (at === undefined) {
    // Whoever names a certificate expects TLS, which would silently not be there.
    if (cert === undefined && key === undefined && clientCA === undefined) return undefined;
    throw new UsageError('--tls-cert-file, --tls-key-file and --tls-client-ca-file require --tls-port');
  }
  if (!cert || !key) throw new UsageError('--tls-port requires --tls-cert-file and --tls-key-file');
  return { port: at, cert, key, clientCA };
}

function addresses(name: string, text: string | undefined): BlockList | undefined {
  const items = list(text);
  if (items.length === 0) return undefined;
  const found = new BlockList();
  for (const item of items) {
    const [address = '', prefix] = item.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined && isIP(address) !== 0) found.addAddress(address, family);
    else if (isCIDR(item)) found.addSubnet(address, Number(prefix), family);
    else throw new UsageError(`--${name}: ${item} must be an IP address or a range such as 10.0.0.0/8`);
  }
  return found;
}
