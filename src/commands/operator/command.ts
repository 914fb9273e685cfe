/** The command `operator`: every part, wired. */
import { randomBytes } from 'node:crypto';
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
import { ProductMetrics } from './metrics.ts';
import type { OperatorOptions } from './options.ts';
import { LEASE_NAME } from './permissions.ts';
import { SESSION_INDEXERS } from '../../resources/session-index.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import { addSessionController } from '../../session/controller.ts';
import { StoredLabel } from '../../session/decisions/labels.ts';
import { ServerRegistry } from '../../servers/registry.ts';
import { Survey } from '../../servers/survey/survey.ts';
import { addTenantController } from '../../tenant/controller.ts';

/** Events that are still to be written when the process stops get this long, in ms. */
const EVENTS_FLUSH_MS = 2_000;
/**
 * Reconciles under way get this long to end, in ms. With what follows (2 s to unwind, the events, two requests of 5 s to give the
 * Lease back) it stays below the 30 s that the chart's pod has from SIGTERM to SIGKILL.
 */
const GRACEFUL_STOP_MS = 14_000;

const clock = systemClock;
const random = Math.random;

/** Runs until a signal. Resolves to the process's exit code. */
export async function runOperator(options: OperatorOptions): Promise<number> {
  const log = pino({ level: options.logLevel });
  exitOnCrash(log);
  const stop = stopOnSignal(log);
  const metrics = new Metrics();
  const credentials = loadConfig({ clock, kubeconfig: options.kubeconfig });
  const transport = new Transport({
    credentials,
    clock,
    random,
    observer: metrics.transport,
    userAgent: FIELD_MANAGER,
  });
  const namespace = options.namespace ?? credentials.namespace;
  const instance = options.identity ?? hostname();
  const elector = options.leaderElect ? leaderElector(transport, { namespace, instance, metrics, log }) : undefined;
  const client = new Client({ transport, ...(elector && { writeGate: elector.writeGate }) });
  const manager = new Manager({
    client,
    clock,
    random,
    log,
    metrics,
    leaderElector: elector,
    namespaces: options.watchNamespaces,
    metricsAt: options.metrics,
    health: options.healthProbe,
    gracefulStopMs: GRACEFUL_STOP_MS,
  });
  const recorder = new EventRecorder({ client, clock, random, log, metrics, component: FIELD_MANAGER, instance });
  const product = new ProductMetrics(metrics.registry);
  const servers = new ServerRegistry({ clock, random });
  const pinger = new Pinger({ servers, log, observe: (_key, result, ms) => product.pinged(result, ms) });
  const survey = new Survey({
    servers,
    log,
    labelKeys: Object.values(StoredLabel),
    observePoll: (ms) => product.surveyed(ms),
  });
  const tenants = manager.informer(CopilotTenant);
  const copilotSessions = manager.informer(CopilotSession, { indexers: SESSION_INDEXERS });
  const { concurrency, operatorImage } = options;
  const { jobs, claims } = addTenantController({
    manager,
    tenants,
    copilotSessions,
    servers,
    health: pinger,
    sessions: survey,
    recorder,
    facts: {
      serverImage: options.serverImage,
      operatorImage,
      namespace,
      clusterCIDRs: options.clusterCIDRs,
    },
    concurrency,
    randomBytes,
    tenantMetrics: product,
  });
  addSessionController({
    manager,
    sessions: copilotSessions,
    tenants,
    jobs,
    claims,
    source: survey,
    recorder,
    facts: { operatorImage },
    concurrency,
  });
  product.count({
    tenants: tenants.store,
    sessions: copilotSessions.store,
    servers: () => pinger.counts(),
    surveyed: () => survey.counts(),
  });
  manager.onStop(async () => {
    servers.close();
    await recorder.close(EVENTS_FLUSH_MS);
  });
  log.info({ server: credentials.server.href, namespace, serverImage: options.serverImage }, 'starting');
  const outcome = await manager.run(stop);
  await transport.close();
  log.info({ reason: outcome.reason }, 'stopped');
  // Whoever lost the lease must not go on with what it remembers: a fresh process starts from the cluster.
  return outcome.reason === 'stopped' ? 0 : 1;
}

interface ElectorContext {
  readonly namespace: string;
  readonly instance: string;
  readonly metrics: Metrics;
  readonly log: Logger;
}

function leaderElector(transport: Transport, { namespace, instance, metrics, log }: ElectorContext): LeaderElector {
  const identity = `${instance}_${randomBytes(6).toString('hex')}`;
  // Its own client, for it is what opens the gate that the others' writes go through.
  const client = new Client({ transport });
  return new LeaderElector({ client, clock, random, log, metrics, namespace, name: LEASE_NAME, identity });
}
