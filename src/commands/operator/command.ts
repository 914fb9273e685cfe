/** The command `operator`: wires all parts and runs them. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Logger, pino } from 'pino';
import { Annotation, FIELD_MANAGER } from '../../api/names.ts';
import { addressOf } from '../../copilot/index.ts';
import { onAbort } from '../../kube/clock/abort.ts';
import { keyOf } from '../../kube/types/types.ts';
import { Pinger } from '../../servers/health/pinger.ts';
import { Client } from '../../kube/client/client.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { loadConfig } from '../../kube/client/config.ts';
import { EventRecorder } from '../../kube/runtime/events.ts';
import { LeaderElector } from '../../kube/runtime/leader-election.ts';
import { Manager } from '../../kube/runtime/manager.ts';
import { Metrics } from '../../kube/runtime/metrics.ts';
import { exitOnCrash, stopOnSignal } from '../../kube/runtime/process.ts';
import { Node } from '../../kube/types/builtins.ts';
import { Transport } from '../../kube/client/transport.ts';
import { usualClusterDNS } from './cluster-dns.ts';
import { ProductMetrics } from './metrics.ts';
import type { OperatorOptions } from './options.ts';
import { LEASE_NAME } from './permissions.ts';
import { internalAccess } from '../../gateway/admission/internal-access.ts';
import { ApiReviews } from '../../gateway/admission/reviews.ts';
import { OPERATOR_AUDIENCE } from '../../resources/operator-internal.ts';
import { GRANT_KEYS, PEER_KEYS, STAMP_KEYS } from '../../resources/key-secret.ts';
import { KeySecrets } from './key-secrets.ts';
import { GuardClient } from '../../resources/guard-client.ts';
import { ListedPodFates } from '../../resources/pod-fates.ts';
import { SESSION_INDEXERS } from '../../resources/session-index.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import { addSessionController } from '../../session/controller.ts';
import { StoredLabel } from '../../session/decisions/labels.ts';
import { SessionLocks } from '../../session/locks.ts';
import { SessionPlaces } from '../../session/places.ts';
import { ServerRegistry } from '../../servers/registry.ts';
import { Survey } from '../../servers/survey/survey.ts';
import { askDrains, askGateway } from '../../tenant/ask-gateway.ts';
import { addTenantController, WAKING_INDEX, wakingKeys } from '../../tenant/controller.ts';
import { GatewayClients } from '../../tenant/gateway-clients.ts';
import { GatewayDrains } from '../../tenant/gateway-drains.ts';
import { takesWakePlace } from '../../tenant/hibernation.ts';
import { WakeServer } from '../../tenant/wake-server.ts';
import { Wakes } from '../../tenant/wakes.ts';
import { slimNode, WatchedNodes } from '../../tenant/nodes.ts';

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
  /** Opens the gate for writes, to the API server and to servers, while this process leads; undefined: it is always open. */
  readonly elector: LeaderElector | undefined;
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
  const parts = { options, log, metrics, transport, leaseTransport, namespace, instance };
  const shared = { ...parts, elector: options.leaderElect ? createElector(parts) : undefined };
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
  const { options, log, metrics, transport, elector } = shared;
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

function createElector({
  options,
  log,
  metrics,
  leaseTransport,
  namespace,
  instance,
}: Omit<Shared, 'elector'>): LeaderElector {
  const identity = `${instance}_${randomBytes(6).toString('hex')}`;
  // A client of its own, without the gate that the elector opens for the writes of the others.
  const client = new Client({ transport: leaseTransport });
  const { wakes } = options;
  const annotations = wakes && {
    [Annotation.wakeAddress]: addressOf({ host: wakes.host, port: wakes.at.port }),
  };
  return new LeaderElector({ client, clock, random, log, metrics, namespace, name: LEASE_NAME, identity, annotations });
}

function addControllers(manager: Manager, { options, log, metrics, namespace, instance, elector }: Shared): void {
  const { client } = manager;
  const { concurrency, maxConcurrentRollouts, serverImage, operatorImage, clusterCIDRs, requireSecretLabel, gateway } =
    options;
  const clusterDNS = options.clusterDNS ?? usualClusterDNS(resolvConf());
  const recorder = new EventRecorder({ client, clock, random, log, metrics, component: FIELD_MANAGER, instance });
  const product = new ProductMetrics(metrics.registry);
  const servers = new ServerRegistry({ clock, random });
  const pinger = new Pinger({ servers, log, observe: (_key, result, ms) => product.pinged(result, ms) });
  const labelKeys = Object.values(StoredLabel);
  const keys = addKeySecrets(manager, options, namespace);
  const grantKeys = keys.keysOf(GRANT_KEYS);
  const guards = new GuardClient({ keys: grantKeys, clock, fates: new ListedPodFates({ client, clock }) });
  const survey = new Survey({
    servers,
    log,
    labelKeys,
    observePoll: (ms) => product.surveyed(ms),
    writeGate: elector?.writeGate,
    guards: {
      epochOf: (server, { guardOf: tenant, key, podUID }, sessionId, call) =>
        guards.epochOf(server, { tenant, server: key, podUID, sessionId }, call),
      grant: (server, { guardOf: tenant, key, podUID }, wanted, call) =>
        guards.grant(server, { tenant, server: key, podUID, ...wanted }, call),
    },
  });
  const tenants = manager.informer(CopilotTenant, { indexers: { [WAKING_INDEX]: wakingKeys } });
  const wakes = addWakes(manager, options, namespace, keys, () =>
    tenants.store
      .byIndex(WAKING_INDEX, WAKING_INDEX)
      .filter((tenant) => takesWakePlace(tenant, clock.now()))
      .map(keyOf),
  );
  const sessions = manager.informer(CopilotSession, { indexers: SESSION_INDEXERS });
  const asking = addGatewayAsking(manager, options, namespace, keys);
  const { jobs, pods, claims, fleetCounts } = addTenantController({
    manager,
    tenants,
    copilotSessions: sessions,
    servers,
    health: pinger,
    sessions: survey,
    nodes: options.watchNodes ? watchedNodes(manager) : undefined,
    ...asking,
    wakes,
    recorder,
    facts: { serverImage, operatorImage, namespace, clusterCIDRs, clusterDNS, requireSecretLabel, gateway },
    grantKeys,
    concurrency,
    maxConcurrentRollouts,
    randomBytes,
    tenantMetrics: product,
  });
  const locks = asking.clients && new SessionLocks(clock);
  asking.clients?.onHeldTurns((held) => locks?.update(held));
  const places = asking.clients && new SessionPlaces();
  asking.clients?.onPlaces((found) => places?.update(found));
  addSessionController({
    manager,
    sessions,
    tenants,
    jobs,
    pods,
    claims,
    source: survey,
    locks,
    places,
    recorder,
    facts: { operatorImage },
    concurrency,
  });
  product.count({
    tenants: tenants.store,
    sessions: sessions.store,
    servers: () => pinger.counts(),
    surveyed: () => survey.counts(),
    fleet: fleetCounts,
    wakes: () => wakes?.counts() ?? { waiting: 0, waking: 0 },
    locks: () => locks?.counts() ?? { held: 0, oldestSeconds: 0 },
    silentReplicas: () => asking.clients?.silentReplicas ?? 0,
  });
  manager.onStop(async () => {
    servers.close();
    await recorder.close(EVENTS_FLUSH_MS);
  });
}

// Of the whole cluster, whichever namespaces are watched; and without the right to list them everything else goes on.
function watchedNodes(manager: Manager): WatchedNodes {
  return new WatchedNodes(manager.optionalInformer(Node, { namespaces: [], transform: slimNode }));
}

/** Has the Secrets made that a gateway needs, where there is one. */
function addKeySecrets(manager: Manager, options: OperatorOptions, namespace: string): KeySecrets {
  const { client, log } = manager;
  const keys = new KeySecrets({
    client,
    clock,
    log,
    namespace,
    randomBytes,
    secrets: [STAMP_KEYS, PEER_KEYS, GRANT_KEYS],
  });
  const needed = options.gateway ?? options.gatewayInternal ?? options.wakes;
  if (needed !== undefined) manager.addRunnable(keys);
  return keys;
}

/** Has the replicas of the gateway asked for their clients and for drains, by the leader only; nothing without a gateway. */
function addGatewayAsking(
  manager: Manager,
  { gatewayInternal }: OperatorOptions,
  namespace: string,
  keys: KeySecrets,
): { readonly clients?: GatewayClients; readonly drains?: GatewayDrains } {
  if (gatewayInternal === undefined) return {};
  const { service } = gatewayInternal;
  const { client, log } = manager;
  const shared = { client, clock, log, namespace, service };
  const at = { ...gatewayInternal, keys: keys.keysOf(PEER_KEYS) };
  const clients = new GatewayClients({ ...shared, ask: (address, signal) => askGateway(address, at, signal) });
  const drains = new GatewayDrains({ ...shared, ask: (address, signal) => askDrains(address, at, signal) });
  // Without a key the first round would come to nothing.
  const afterKeys = (name: string, run: (stop: AbortSignal) => Promise<void>): void =>
    manager.addRunnable({ name, run: (stop) => keys.looked.then(() => run(stop)) });
  afterKeys('clients of the gateway', (stop) => clients.run(stop));
  afterKeys('drains at the gateway', (stop) => drains.run(stop));
  return { clients, drains };
}

/** Has the gateway ask this process, while it leads, for tenants to be woken; undefined: it cannot. */
function addWakes(
  manager: Manager,
  { wakes: at, maxConcurrentWakes: max }: OperatorOptions,
  namespace: string,
  keys: KeySecrets,
  waking: () => readonly string[],
): Wakes | undefined {
  if (at === undefined) return undefined;
  const wakes = new Wakes({ clock, max, waking });
  const { client, log } = manager;
  const access = internalAccess(
    new ApiReviews({ client, clock, audience: OPERATOR_AUDIENCE }),
    namespace,
    OPERATOR_AUDIENCE,
  );
  const server = new WakeServer({
    keys: keys.keysOf(PEER_KEYS),
    authorize: (token) => access.decide(token, { view: 'wakes', verb: 'create' }),
    ask: (asks) => wakes.ask(asks),
    log,
  });
  const run = async (stop: AbortSignal): Promise<void> => {
    await server.listen(at.at);
    await new Promise<void>((resolve) => void onAbort(stop, () => resolve()));
    await server.close();
  };
  manager.addRunnable({ name: 'wakes of tenants', run });
  return wakes;
}

/** The resolver configuration that the kubelet gave to this pod; outside a cluster it says nothing about the cluster's DNS. */
function resolvConf(): string {
  return process.env['KUBERNETES_SERVICE_HOST'] === undefined ? '' : readFileSync('/etc/resolv.conf', 'utf8');
}
