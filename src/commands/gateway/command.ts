/** The command `gateway`: wires the rooms of the gateway and runs them. */
import { randomUUID } from 'node:crypto';
import { type Logger, pino } from 'pino';
import { FIELD_MANAGER } from '../../api/names.ts';
import { createAdmission } from '../../gateway/admission/admission.ts';
import { internalAccess } from '../../gateway/admission/internal-access.ts';
import { ApiReviews } from '../../gateway/admission/reviews.ts';
import type { DrainOptions } from '../../gateway/client/clients.ts';
import { UnreadMemory, unreadLimits } from '../../gateway/client/unread-memory.ts';
import { dialTcpWhile } from '../../copilot/index.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { Certificates } from '../../gateway/listen/certificates.ts';
import { rulesByIsolation } from '../../gateway/methods/rules.ts';
import { addSessionRecords } from '../../gateway/ownership/records.ts';
import type { Fleet, TenantRef } from '../../gateway/model.ts';
import { Pauses } from '../../gateway/pauses.ts';
import { createRelay } from '../../gateway/relay/relay.ts';
import { InternalServer } from '../../gateway/report/internal-server.ts';
import { countedRules } from '../../gateway/report/counted-rules.ts';
import { ForwardMetrics } from '../../gateway/report/forward-metrics.ts';
import { GatewayMetrics } from '../../gateway/report/metrics.ts';
import { PeerMetrics } from '../../gateway/report/peer-metrics.ts';
import { RelayMetrics } from '../../gateway/report/relay-metrics.ts';
import { addFleet } from '../../gateway/routing/add-fleet.ts';
import { forgetGoneTenants } from '../../gateway/routing/gone-tenants.ts';
import { SecretKeys } from '../../gateway/secret-keys.ts';
import { postWakes, WakeAsker } from '../../gateway/wake-asker.ts';
import { Client } from '../../kube/client/client.ts';
import { loadConfig } from '../../kube/client/config.ts';
import { Transport } from '../../kube/client/transport.ts';
import { onAbort } from '../../kube/clock/abort.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { gatheredStdout } from '../../kube/runtime/gathered-lines.ts';
import { Manager } from '../../kube/runtime/manager.ts';
import { Metrics } from '../../kube/runtime/metrics.ts';
import { exitOnCrash, stopOnSignal } from '../../kube/runtime/process.ts';
import { returnMemory } from '../../kube/runtime/return-memory.ts';
import { ConfigError, toError } from '../../kube/types/errors.ts';
import type { Keys } from '../../kube/types/keys.ts';
import { keyOf } from '../../kube/types/types.ts';
import { INTERNAL_AUDIENCE } from '../../resources/gateway-internal.ts';
import type { WakeAsk } from '../../resources/operator-internal.ts';
import { ListedPodFates } from '../../resources/pod-fates.ts';
import { grantSignerOf } from '../../resources/grant-keys.ts';
import { GRANT_KEYS, PEER_KEYS, STAMP_KEYS, type KeySecret } from '../../resources/key-secret.ts';
import type { GrantSigner } from '../../resources/session-grant.ts';
import type { FollowedIssuers } from './oidc.ts';
import { claimAlone, openCoordination } from './coordination.ts';
import { addForwarding } from './forwarding.ts';
import { addPeers } from './peers.ts';
import type { GatewayOptions, TlsOptions } from './options.ts';

/** The last part of the time to stop, in which clients are closed at the end of a turn and spread over it, ms. */
const CLOSING = { share: 0.1, least: 1_000, most: 20_000 };
/** For what follows, so that the process ends by itself. */
const MARGIN_MS = 2_000;
const clock = systemClock;
const random = Math.random;

/** Runs until a signal. Resolves to the exit code of the process. */
export async function runGateway(options: GatewayOptions): Promise<number> {
  const log: Logger = pino({ level: options.logLevel }, gatheredStdout());
  exitOnCrash(log);
  const stop = stopOnSignal(log);
  const metrics = new Metrics();
  const credentials = loadConfig({ clock, kubeconfig: options.kubeconfig });
  const transport = new Transport({
    credentials,
    clock,
    random,
    observer: metrics.transport,
    userAgent: `${FIELD_MANAGER}-gateway`,
  });
  const client = new Client({ transport });
  const namespace = options.namespace ?? credentials.namespace;
  // Before anything else is begun, which would keep the process from its end.
  const sole = await claimAlone(options, { client, clock, log, namespace, stop });
  if (sole === 'Refused' || sole === 'Stopped') {
    await transport.close();
    return sole === 'Stopped' ? 0 : 1;
  }
  const certificates = options.tls && readCertificates(options.tls, log);
  const { healthPort, metricsPort } = options;
  const drain = drainOf(options.drainTimeoutMs);
  const manager = new Manager({
    client,
    clock,
    random,
    log,
    metrics,
    namespaces: options.watchNamespaces,
    health: healthPort === undefined ? undefined : { port: healthPort },
    metricsAt: metricsPort === undefined ? undefined : { port: metricsPort },
    gracefulStopMs: drain.leaveMs + drain.closeMs + MARGIN_MS,
  });
  const fleet = addFleet(manager);
  const reviews = new ApiReviews({ client: manager.client, clock });
  const gatewayMetrics = new GatewayMetrics(metrics.registry);
  const rules = rulesByIsolation((each) => countedRules(each, gatewayMetrics));
  const issuers = await issuersOf(options.oidcConfig, log, gatewayMetrics);
  const ownership = {
    keys: addKeys(manager, 'stamp keys', STAMP_KEYS, namespace),
    records: addSessionRecords(manager),
  };
  const coordination = await openCoordination(manager, options.coordination, namespace, metrics.registry);
  forgetGoneTenants({ fleet, store: coordination, clock, random, log, stop });
  const grantKeys = addKeys(manager, 'grant keys', GRANT_KEYS, namespace);
  const pauses = new Pauses(fleet);
  const relayMetrics = new RelayMetrics(metrics.registry);
  const peerMetrics = new PeerMetrics(metrics.registry);
  const needsPeerKeys = options.peerPort ?? options.internalPort ?? options.operator;
  const keys = needsPeerKeys === undefined ? { all: [] } : addKeys(manager, 'peer keys', PEER_KEYS, namespace);
  const peers =
    options.peerPort === undefined
      ? undefined
      : addPeers(manager, options, { port: options.peerPort, namespace, keys }, peerMetrics);
  if (peers !== undefined) {
    peerMetrics.watch(peers);
    onAbort(stop, () => peers.drain());
  }
  const asker = options.operator && addAsker(manager, options.operator, { namespace, keys }, () => local.wakes());
  // A tenant that is being put to sleep, and must not be. Those without a drain are not computed: nearly all change when the gateway starts.
  if (asker !== undefined) fleet.onChange((tenant) => isDraining(fleet, tenant) && asker.ask());
  const local = createRelay({
    fleet,
    pauses,
    rules,
    ownership,
    clock,
    log,
    observer: relayMetrics,
    limits: { keptBytes: options.maxKeptBytes },
    mayFollow: peers !== undefined,
    wakes: asker,
    shared: {
      store: coordination,
      fates: new ListedPodFates({ client: manager.client, clock }),
      signers: signersOf(grantKeys),
      // No two processes have the same: a pod's name comes again with each start of its container.
      holder: randomUUID(),
    },
    dial: dialTcpWhile(() => peers?.mayAct !== false),
  });
  relayMetrics.watch(local);
  if (options.serverMetrics) relayMetrics.watchServers(local);
  const forwardMetrics = new ForwardMetrics(metrics.registry);
  const unread = new UnreadMemory(unreadLimits(options.maxUnreadBytes, options.maxConnections));
  const routed =
    peers && addForwarding({ relay: local, homes: peers, fleet, unread, clock, random, log }, forwardMetrics);
  const relay = routed ?? local;
  const gateway = new Gateway({
    plain: options.listenPort === undefined ? undefined : { port: options.listenPort },
    tls: options.tls && certificates && { at: { port: options.tls.port }, certificates },
    proxies: options.proxies,
    maxConnections: options.maxConnections,
    maxConnectionsPerTenant: options.maxConnectionsPerTenant,
    keepaliveMs: options.keepaliveMs,
    maxUnreadBytes: options.maxUnreadBytes,
    unread,
    giveBackMemory: () => giveBackMemory(log),
    moveTenants: routed && ((withinMs) => routed.drain(withinMs)),
    drain,
    fleet,
    pauses,
    records: ownership.records,
    admission: createAdmission({ fleet, reviews, issuers, clock }),
    relay,
    clock,
    random,
    log,
    metrics: gatewayMetrics,
  });
  manager.addReadyCheck(gateway.ready);
  gatewayMetrics.readiness(() => manager.failedReadyChecks());
  manager.addRunnable({ name: 'clients', run: (stopping, kill) => gateway.run(stopping, kill) });
  manager.onStop(() => Promise.resolve(relay.close()));
  // Only now nothing of a tenant is connected any more.
  manager.onStop(() => Promise.resolve(peers?.leave()));
  manager.onStop(() => Promise.resolve(issuers?.stop()));
  manager.onStop(() => coordination.close());
  if (sole !== undefined) {
    manager.addRunnable({ name: 'the one gateway', stopsLast: true, run: (stopping) => sole.run(stopping) });
    manager.onStop(() => sole.release());
  }
  const internal = new InternalServer({
    keys,
    access: internalAccess(new ApiReviews({ client: manager.client, clock, audience: INTERNAL_AUDIENCE }), namespace),
    clients: () => gateway.clients(),
    sessions: () => gateway.sessions(),
    drains: () => relay.drains(),
    uses: () => relay.uses(),
    act: (action, tenant, user) => gateway.act(action, tenant, user),
    log,
  });
  if (options.internalPort !== undefined) await internal.listen({ port: options.internalPort });
  log.info({ server: credentials.server.href }, 'starting');
  const outcome = await manager.run(stop);
  await internal.close();
  await transport.close();
  log.info({ reason: outcome.reason }, 'stopped');
  return outcome.reason === 'stopped' ? 0 : 1;
}

/** Has the keys of this Secret read, as long as anything runs. */
function addKeys(manager: Manager, name: string, secret: KeySecret, namespace: string): Keys {
  const { client, log } = manager;
  const keys = new SecretKeys({ secret, client, clock, log, namespace });
  manager.addRunnable({ name, stopsLast: true, run: (stopping) => keys.run(stopping) });
  return keys;
}

/** Who signs by these keys. Each is made of the bytes once: that takes as long as many signatures. */
function signersOf(keys: Keys): () => readonly GrantSigner[] {
  let made: { readonly of: Keys['all']; readonly signers: readonly GrantSigner[] } | undefined;
  return () => {
    const { all } = keys;
    if (made?.of !== all) made = { of: all, signers: all.map(grantSignerOf) };
    return made.signers;
  };
}

/** Asks the operator for tenants to be woken, as long as clients are served. */
function addAsker(
  manager: Manager,
  { lease: name, tokenFile }: NonNullable<GatewayOptions['operator']>,
  { namespace, keys }: { readonly namespace: string; readonly keys: Keys },
  wanted: () => readonly WakeAsk[],
): WakeAsker {
  const { client, log } = manager;
  const post = postWakes({ keys, tokenFile });
  const asker = new WakeAsker({ client, clock, log, lease: { namespace, name }, wanted, post });
  manager.addRunnable({ name: 'wakes of tenants', stopsLast: true, run: (stopping) => asker.run(stopping) });
  return asker;
}

function giveBackMemory(log: Logger): void {
  const begun = clock.monotonic();
  returnMemory();
  log.info({ ms: Math.round(clock.monotonic() - begun) }, 'memory of clients that have left was given back');
}

function isDraining(fleet: Fleet, tenant: TenantRef): boolean {
  const drains = fleet.draining().some((each) => keyOf(each) === keyOf(tenant));
  return drains && fleet.find(tenant)?.sleep?.phase === 'Draining';
}

function drainOf(timeoutMs: number): DrainOptions {
  const { share, least, most } = CLOSING;
  const closeMs = Math.min(most, Math.max(least, timeoutMs * share));
  return { leaveMs: Math.max(0, timeoutMs - closeMs), closeMs };
}

async function issuersOf(
  file: string | undefined,
  log: Logger,
  observer: GatewayMetrics,
): Promise<FollowedIssuers | undefined> {
  if (file === undefined) return undefined;
  const { readIssuers } = await import('./oidc.ts');
  return readIssuers(file, { clock, log, observer });
}

function readCertificates({ cert, key, clientCA }: TlsOptions, log: Logger): Certificates {
  try {
    return new Certificates({ files: { cert, key, clientCA }, timers: clock, log });
  } catch (error) {
    throw new ConfigError(toError(error).message, { cause: error });
  }
}
