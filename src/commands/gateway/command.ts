/** The command `gateway`: wires the rooms of the gateway and runs them. */
import { type Logger, pino } from 'pino';
import { FIELD_MANAGER } from '../../api/names.ts';
import { createAdmission, type TokenIssuers } from '../../gateway/admission/admission.ts';
import { internalAccess } from '../../gateway/admission/internal-access.ts';
import { ApiReviews } from '../../gateway/admission/reviews.ts';
import type { DrainOptions } from '../../gateway/client/clients.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { Certificates } from '../../gateway/listen/certificates.ts';
import { rulesByIsolation } from '../../gateway/methods/rules.ts';
import { SecretStampKeys } from '../../gateway/ownership/keys.ts';
import { addSessionRecords } from '../../gateway/ownership/records.ts';
import { createRelay } from '../../gateway/relay/relay.ts';
import { InternalServer } from '../../gateway/report/internal-server.ts';
import { countedRules } from '../../gateway/report/counted-rules.ts';
import { GatewayMetrics } from '../../gateway/report/metrics.ts';
import { RelayMetrics } from '../../gateway/report/relay-metrics.ts';
import { addFleet } from '../../gateway/routing/add-fleet.ts';
import { Client } from '../../kube/client/client.ts';
import { loadConfig } from '../../kube/client/config.ts';
import { Transport } from '../../kube/client/transport.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { Manager } from '../../kube/runtime/manager.ts';
import { Metrics } from '../../kube/runtime/metrics.ts';
import { exitOnCrash, stopOnSignal } from '../../kube/runtime/process.ts';
import { ConfigError, toError } from '../../kube/types/errors.ts';
import { INTERNAL_AUDIENCE } from '../../resources/gateway-internal.ts';
import type { GatewayOptions, TlsOptions } from './options.ts';

/** The last part of the time to stop, in which clients are closed at the end of a turn and spread over it, ms. */
const CLOSING = { share: 0.1, least: 1_000, most: 20_000 };
/** For what follows, so that the process ends by itself. */
const MARGIN_MS = 2_000;
const clock = systemClock;
const random = Math.random;

/** Runs until a signal. Resolves to the exit code of the process. */
export async function runGateway(options: GatewayOptions): Promise<number> {
  const log: Logger = pino({ level: options.logLevel });
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
  const certificates = options.tls && readCertificates(options.tls, log);
  const { healthPort, metricsPort } = options;
  const drain = drainOf(options.drainTimeoutMs);
  const manager = new Manager({
    client: new Client({ transport }),
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
  const namespace = options.namespace ?? credentials.namespace;
  const keys = new SecretStampKeys({ client: manager.client, clock, log, namespace });
  manager.addRunnable({ name: 'stamp keys', stopsLast: true, run: (stopping) => keys.run(stopping) });
  const ownership = { keys, records: addSessionRecords(manager) };
  const relayMetrics = new RelayMetrics(metrics.registry);
  const relay = createRelay({ fleet, rules, ownership, clock, log, observer: relayMetrics });
  relayMetrics.watch(relay);
  const gateway = new Gateway({
    plain: options.listenPort === undefined ? undefined : { port: options.listenPort },
    tls: options.tls && certificates && { at: { port: options.tls.port }, certificates },
    proxies: options.proxies,
    maxConnections: options.maxConnections,
    maxConnectionsPerTenant: options.maxConnectionsPerTenant,
    keepaliveMs: options.keepaliveMs,
    maxUnreadBytes: options.maxUnreadBytes,
    drain,
    fleet,
    admission: createAdmission({ fleet, reviews, issuers, clock }),
    relay,
    clock,
    random,
    log,
    metrics: gatewayMetrics,
  });
  manager.addReadyCheck(gateway.ready);
  manager.addRunnable({ name: 'clients', run: (stopping, kill) => gateway.run(stopping, kill) });
  manager.onStop(() => Promise.resolve(relay.close()));
  const internal = new InternalServer({
    access: internalAccess(new ApiReviews({ client: manager.client, clock, audience: INTERNAL_AUDIENCE }), namespace),
    clients: () => gateway.clients(),
    sessions: () => gateway.sessions(),
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

function drainOf(timeoutMs: number): DrainOptions {
  const { share, least, most } = CLOSING;
  const closeMs = Math.min(most, Math.max(least, timeoutMs * share));
  return { leaveMs: Math.max(0, timeoutMs - closeMs), closeMs };
}

async function issuersOf(
  file: string | undefined,
  log: Logger,
  observer: GatewayMetrics,
): Promise<TokenIssuers | undefined> {
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
