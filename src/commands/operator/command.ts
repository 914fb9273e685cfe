/** The command `operator`: wires all parts and runs them. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Logger, pino } from 'pino';
import { FIELD_MANAGER } from '../../api/names.ts';
import { Pinger } from '../../servers/health/pinger.ts';
import { Client } from '../../kube/client/client.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { loadConfig } from '../../kube/client/config.ts';
import { EventRecorder } from '../../kube/runtime/events.ts';
import { LeaderElector } from '../../kube/runtime/leader-election.ts';
import { Manager } from '../../kube/runtime/manager.ts';
import { Metrics } from '../../kube/runtime/metrics.ts';
import { exitOnCrash, stopOnSignal } from '../../kube/runtime/process.ts';
import { Transport } from '../../kube/client/transport.ts';
import { usualClusterDNS } from './cluster-dns.ts';
import { ProductMetrics } from './metrics.ts';
import type { OperatorOptions } from './options.ts';
import { LEASE_NAME } from './permissions.ts';
import { stampSecret } from './stamp-secret.ts';
import { SESSION_INDEXERS } from '../../resources/session-index.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import { addSessionController } from '../../session/controller.ts';
import { StoredLabel } from '../../session/decisions/labels.ts';
import { ServerRegistry } from '../../servers/registry.ts';
import { Survey } from '../../servers/survey/survey.ts';
import { askGateway } from '../../tenant/ask-gateway.ts';
import { addTenantController } from '../../tenant/controller.ts';
import { GatewayClients } from '../../tenant/gateway-clients.ts';

/** How long pending events may be written when the process stops, in ms. */
const EVENTS_FLUSH_MS = 2_000;
/**
 * How long running reconciles may take to end, in ms. With what follows (2 s to unwind, the events, two requests of 5 s to release the
 * Lease) it is less than the 30 s between SIGTERM and SIGKILL of the chart's pod.
 */
const GRACEFUL_STOP_MS = 14_000;
/** One for the renewal, one for its retry while the first hangs. */
const LEASE_CONNECTIONS = 2;

const clock = systemClock;
const random = Math.random;

/** What the parts of this process share. */
interface Shared {
  readonly options: OperatorOptions;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly transport: Transport;
  /** For the Lease only. */
  readonly leaseTransport: Transport;
  /** The operator's own namespace. */
  readonly namespace: string;
  /** Name of this process among the replicas. */
  readonly instance: string;
}

/** Runs until a signal. Resolves to the exit code of the process. */
export async function runOperator(options: OperatorOptions): Promise<number> {
  const log = pino({ level: options.logLevel });
  exitOnCrash(log);
  const stop = stopOnSignal(log);
  const metrics = new Metrics();
  const credentials = loadConfig({ clock, kubeconfig: options.kubeconfig });
  const observer = metrics.transport;
  const connection = { credentials, clock, random, observer, userAgent: FIELD_MANAGER };
  const transport = new Transport(connection);
  // The Lease has connections of its own: it must not wait behind writes that a slow webhook holds up.
  const leaseTransport = new Transport({ ...connection, connections: LEASE_CONNECTIONS });
  if (credentials.proxy !== undefined) {
    const { url, from } = credentials.proxy;
    log.info(
      { proxy: url.host, from },
      'requests to the API server go through a proxy; list its address in NO_PROXY if they should not',
    );
  }
  const namespace = options.namespace ?? credentials.namespace;
  const instance = options.identity ?? hostname();
  const shared = { options, log, metrics, transport, leaseTransport, namespace, instance };
  const manager = createManager(shared);
  addControllers(manager, shared);
  log.info({ server: credentials.server.href, namespace, serverImage: options.serverImage }, 'starting');
  const outcome = await manager.run(stop);
  await Promise.all([transport.close(), leaseTransport.close()]);
  log.info({ reason: outcome.reason }, 'stopped');
  // A process that has lost the lease must not continue with its state: a new one starts from the cluster.
  return outcome.reason === 'stopped' ? 0 : 1;
}

function createManager(shared: Shared): Manager {
  const { options, log, metrics, transport } = shared;
  const elector = options.leaderElect ? createElector(shared) : undefined;
  return new Manager({
    client: new Client({ transport, ...(elector && { writeGate: elector.writeGate }) }),
    clock,
    random,
    log,
    metrics,
    leaderElector: elector,
    namespaces: options.watchNamespaces,
    metricsAt: options.metrics,
    health: options.healthProbe,
    gracefulStopMs: GRACEFUL_STOP_MS,
    syncPeriodMs: options.syncPeriodMs,
    freezeCaches: options.freezeCaches,
  });
}

function createElector({ log, metrics, leaseTransport, namespace, instance }: Shared): LeaderElector {
  const identity = `${instance}_${randomBytes(6).toString('hex')}`;
  // A client of its own, without the gate that the elector opens for the writes of the others.
  const client = new Client({ transport: leaseTransport });
  return new LeaderElector({ client, clock, random, log, metrics, namespace, name: LEASE_NAME, identity });
}

function addControllers(manager: Manager, { options, log, metrics, namespace, instance }: Shared): void {
  const { client } = manager;
  const { concurrency, maxConcurrentRollouts, serverImage, operatorImage, clusterCIDRs, requireSecretLabel, gateway } =
    options;
  const clusterDNS = options.clusterDNS ?? usualClusterDNS(resolvConf());
  const recorder = new EventRecorder({ client, clock, random, log, metrics, component: FIELD_MANAGER, instance });
  const product = new ProductMetrics(metrics.registry);
  const servers = new ServerRegistry({ clock, random });
  const pinger = new Pinger({ servers, log, observe: (_key, result, ms) => product.pinged(result, ms) });
  const labelKeys = Object.values(StoredLabel);
  const survey = new Survey({ servers, log, labelKeys, observePoll: (ms) => product.surveyed(ms) });
  const tenants = manager.informer(CopilotTenant);
  const sessions = manager.informer(CopilotSession, { indexers: SESSION_INDEXERS });
  const { jobs, pods, claims, fleetCounts } = addTenantController({
    manager,
    tenants,
    copilotSessions: sessions,
    servers,
    health: pinger,
    sessions: survey,
    clients: addGatewayClients(manager, options, namespace, log),
    recorder,
    facts: { serverImage, operatorImage, namespace, clusterCIDRs, clusterDNS, requireSecretLabel, gateway },
    concurrency,
    maxConcurrentRollouts,
    randomBytes,
    tenantMetrics: product,
  });
  addSessionController({
    manager,
    sessions,
    tenants,
    jobs,
    pods,
    claims,
    source: survey,
    recorder,
    facts: { operatorImage },
    concurrency,
  });
  if (gateway !== undefined) manager.addRunnable(stampSecret({ client, clock, log, namespace, randomBytes }));
  product.count({
    tenants: tenants.store,
    sessions: sessions.store,
    servers: () => pinger.counts(),
    surveyed: () => survey.counts(),
    fleet: fleetCounts,
  });
  manager.onStop(async () => {
    servers.close();
    await recorder.close(EVENTS_FLUSH_MS);
  });
}

/** Has the replicas of the gateway asked for their clients, by the leader only; undefined without a gateway. */
function addGatewayClients(
  manager: Manager,
  { gatewayInternal }: OperatorOptions,
  namespace: string,
  log: Logger,
): GatewayClients | undefined {
  if (gatewayInternal === undefined) return undefined;
  const { service } = gatewayInternal;
  const ask = (address: string, signal: AbortSignal) => askGateway(address, gatewayInternal, signal);
  const clients = new GatewayClients({ client: manager.client, clock, log, namespace, service, ask });
  manager.addRunnable({ name: 'clients of the gateway', run: (stop) => clients.run(stop) });
  return clients;
}

/** The resolver configuration that the kubelet gave to this pod; outside a cluster it says nothing about the cluster's DNS. */
function resolvConf(): string {
  return process.env['KUBERNETES_SERVICE_HOST'] === undefined ? '' : readFileSync('/etc/resolv.conf', 'utf8');
}
