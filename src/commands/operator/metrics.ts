/**
 * The product's own metrics, beside those of the core (src/kube/runtime/metrics.ts). Labels come from fixed sets only: no series for
 * a tenant, a server or a session. docs/metrics.md is generated from what is registered here.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { ConditionType, ReadyReason } from '../../api/conditions.ts';
import { findCondition, isConditionTrue } from '../../kube/write/conditions.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import type { Condition } from '../../kube/types/types.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { FleetCounts } from '../../tenant/fleet.ts';
import type { DrainEnd } from '../../tenant/decisions/drain.ts';
import type { TenantMetrics } from '../../tenant/metrics.ts';

/** Values of the label `state` of `copilot_tenants`: the first that applies. */
export const TENANT_STATES = [
  'Deleting',
  'Stalled',
  'Suspended',
  'Hibernated',
  'Ready',
  'Unhealthy',
  'Progressing',
] as const;
export type TenantState = (typeof TENANT_STATES)[number];

const CONDITIONS = Object.values(ConditionType);
const STATUSES = ['True', 'False', 'Unknown'] as const satisfies readonly Condition['status'][];
const SERVER_STATES = ['Unknown', 'Healthy', 'Unreachable', 'AuthFailed', 'Timeout', 'ProtocolError'] as const;
const ACTIVITIES = ['active', 'loaded', 'unloaded'] as const;
const ROLLOUT_STATES = ['Pending', 'Running', 'Stuck'] as const;
const CLEANUP_RESULTS = ['Succeeded', 'Failed'] as const;
const DRAIN_RESULTS = ['Drained', 'DeadlinePassed', 'Other'] as const;
const WAKE_STATES = ['waiting', 'waking'] as const;
const WAKE_RESULTS = ['Awake', 'Failed'] as const;
const MIB = 2 ** 20;

/** The sources that are counted at each scrape. */
export interface MetricSources {
  readonly tenants: Pick<ReadonlyStore<CopilotTenant>, 'list'>;
  readonly sessions: Pick<ReadonlyStore<CopilotSession>, 'list'>;
  /** Pinged servers by health. */
  readonly servers: () => Iterable<readonly [string, number]>;
  /** Sessions on servers by activity. */
  readonly surveyed: () => Readonly<Record<(typeof ACTIVITIES)[number], number>>;
  readonly fleet: () => FleetCounts;
  /** Sleeping tenants that clients wait for: those that wait for a place, and those that are being started. */
  readonly wakes: () => { readonly waiting: number; readonly waking: number };
  /** Turns of sessions that several users work on, as far as a user holds them. */
  readonly locks: () => { readonly held: number; readonly oldestSeconds: number };
  /** Replicas of the gateway that did not answer although they are ready. */
  readonly silentReplicas: () => number;
}

/** The state of a tenant in one word. */
export function tenantState({ metadata, spec, status }: CopilotTenant): TenantState {
  const conditions = status?.conditions;
  if (metadata.deletionTimestamp !== undefined) return 'Deleting';
  if (isConditionTrue(conditions, ConditionType.Stalled)) return 'Stalled';
  if (spec.suspend || spec.replicas === 0) return 'Suspended';
  if (isConditionTrue(conditions, ConditionType.Hibernated)) return 'Hibernated';
  if (isConditionTrue(conditions, ConditionType.Ready)) return 'Ready';
  const reason = findCondition(conditions, ConditionType.Ready)?.reason;
  return reason === ReadyReason.ServersUnhealthy ? 'Unhealthy' : 'Progressing';
}

/** Registers the metrics of the product. */
export class ProductMetrics implements TenantMetrics {
  readonly #registry: Registry;
  readonly #ping: Histogram;
  readonly #poll: Histogram;
  readonly #restarts: Counter;
  readonly #drains: Histogram<'result'>;
  readonly #wakes: Histogram<'result'>;
  readonly #ready: Histogram;
  readonly #runs: Counter<'result'>;
  readonly #deleted: Counter;
  readonly #freed: Counter;

  constructor(registry: Registry) {
    this.#registry = registry;
    const registers = [registry];
    this.#ping = new Histogram({
      name: 'copilot_server_ping_seconds',
      help: 'Round-trip time of answered pings',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    });
    this.#poll = new Histogram({
      name: 'copilot_server_survey_seconds',
      help: 'Duration of a poll of a server for its changed sessions',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.#restarts = new Counter({
      name: 'copilot_server_restarts_total',
      help: 'Restarts of servers that did not answer',
      registers,
    });
    this.#drains = new Histogram({
      name: 'copilot_server_drain_seconds',
      help: `Time for which servers drained before they were replaced or stopped, by how that ended: ${DRAIN_RESULTS.join(', ')}`,
      labelNames: ['result'],
      buckets: [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
      registers,
    });
    this.#wakes = new Histogram({
      name: 'copilot_tenant_wake_seconds',
      help: `Time from the decision to wake a sleeping tenant until its servers answer, or until that was given up, by result: ${WAKE_RESULTS.join(', ')}`,
      labelNames: ['result'],
      buckets: [0.5, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300],
      registers,
    });
    this.#ready = new Histogram({
      name: 'copilot_tenant_ready_seconds',
      help: 'Time from the creation of a tenant until it was first Ready',
      buckets: [1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600],
      registers,
    });
    this.#runs = new Counter({
      name: 'copilot_cleanup_runs_total',
      help: `Finished runs of cleanups: ${CLEANUP_RESULTS.join(', ')}`,
      labelNames: ['result'],
      registers,
    });
    this.#deleted = new Counter({
      name: 'copilot_cleanup_deleted_sessions_total',
      help: 'Sessions deleted by cleanups; dry runs do not count',
      registers,
    });
    this.#freed = new Counter({
      name: 'copilot_cleanup_freed_bytes_total',
      help: 'Bytes freed by cleanups; dry runs do not count',
      registers,
    });
    for (const result of CLEANUP_RESULTS) this.#runs.inc({ result }, 0);
    for (const result of WAKE_RESULTS) this.#wakes.zero({ result });
    for (const result of DRAIN_RESULTS) this.#drains.zero({ result });
  }

  pinged(result: string, ms: number): void {
    if (result === 'Healthy') this.#ping.observe(ms / 1000);
  }

  surveyed(ms: number): void {
    this.#poll.observe(ms / 1000);
  }

  restarted(): void {
    this.#restarts.inc();
  }

  drained(end: DrainEnd, afterMs: number): void {
    const result = end === 'Drained' || end === 'DeadlinePassed' ? end : 'Other';
    this.#drains.observe({ result }, afterMs / 1000);
  }

  becameReady(afterMs: number): void {
    // The times are from two clocks: the API server's and this machine's.
    this.#ready.observe(Math.max(0, afterMs) / 1000);
  }

  woke(result: 'Awake' | 'Failed', afterMs: number): void {
    this.#wakes.observe({ result }, afterMs / 1000);
  }

  cleanedUp({ result, dryRun = false, deleted = 0, freedBytes = 0 }: Parameters<TenantMetrics['cleanedUp']>[0]): void {
    this.#runs.inc({ result });
    if (dryRun) return;
    this.#deleted.inc(deleted);
    this.#freed.inc(freedBytes);
  }

  deletedByServers(sessions: number, freedBytes: number): void {
    this.#deleted.inc(sessions);
    this.#freed.inc(freedBytes);
  }

  /** Counts the current objects at each scrape. */
  count({ tenants, sessions, servers, surveyed, fleet, wakes, locks, silentReplicas }: MetricSources): void {
    this.#gauge('copilot_tenants', 'Tenants by state', 'state', TENANT_STATES, () =>
      countBy(tenants.list(), tenantState),
    );
    this.#registry.registerMetric(conditionsGauge(tenants));
    this.#gauge('copilot_servers', 'Pinged servers by health', 'state', SERVER_STATES, servers);
    this.#gauge(
      'copilot_sessions_on_servers',
      'Sessions on servers, with or without a CopilotSession, by activity',
      'state',
      ACTIVITIES,
      () => Object.entries(surveyed()),
    );
    this.#gauge(
      'copilot_rollouts',
      'Servers with an earlier pod template or default image of the operator (Pending), being replaced for it (Running), or replaced and not responding for ten minutes (Stuck), by state',
      'state',
      ROLLOUT_STATES,
      () => Object.entries(fleet().rollouts),
    );
    this.#gauge(
      'copilot_tenant_wakes',
      'Sleeping tenants that clients wait for: those that wait for their turn (waiting), and those that are being started (waking), by state',
      'state',
      WAKE_STATES,
      () => Object.entries(wakes()),
    );
    this.#number(
      'copilot_server_restarts_waiting',
      'Servers that do not respond and wait for their restart, because many do not respond at once',
      () => fleet().restartsWaiting,
    );
    this.#number(
      'copilot_silent_gateway_replicas',
      'Replicas of the gateway that are ready and did not answer the operator when it asked last',
      silentReplicas,
    );
    this.#number(
      'copilot_session_lock_held',
      'Sessions of a CopilotSession with spec.collaboration whose turn a user holds, as the gateway said last',
      () => locks().held,
    );
    this.#number(
      'copilot_session_lock_oldest_seconds',
      'For how long the oldest of these turns is held; 0: none is',
      () => locks().oldestSeconds,
    );
    const sizes = new Histogram({
      name: 'copilot_session_size_bytes',
      help: 'Sizes of sessions with a CopilotSession on their volumes',
      buckets: [MIB / 16, MIB / 4, MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB],
      registers: [],
      collect() {
        this.reset();
        for (const { status } of sessions.list()) if (status?.sizeBytes !== undefined) this.observe(status.sizeBytes);
      },
    });
    this.#registry.registerMetric(sizes);
  }

  #number(name: string, help: string, read: () => number): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(read());
      },
    });
    this.#registry.registerMetric(gauge);
  }

  /** Every value has a series from the start, even 0, so that alerts on it work. */
  #gauge(
    name: string,
    help: string,
    label: string,
    values: readonly string[],
    read: () => Iterable<readonly [string, number]>,
  ): void {
    const gauge = new Gauge({
      name,
      help: `${help}: ${values.join(', ')}`,
      labelNames: [label],
      registers: [],
      collect() {
        for (const value of values) this.set({ [label]: value }, 0);
        for (const [value, count] of read()) if (values.includes(value)) this.set({ [label]: value }, count);
      },
    });
    this.#registry.registerMetric(gauge);
  }
}

/** A missing condition counts as Unknown. */
function conditionsGauge(tenants: MetricSources['tenants']): Gauge {
  return new Gauge({
    name: 'copilot_tenant_conditions',
    help: `Tenants by the status (${STATUSES.join(', ')}) of each condition: ${CONDITIONS.join(', ')}`,
    labelNames: ['condition', 'status'],
    registers: [],
    collect() {
      const all = tenants.list();
      for (const condition of CONDITIONS) {
        const counts = countBy(all, ({ status }) => findCondition(status?.conditions, condition)?.status ?? 'Unknown');
        for (const status of STATUSES) this.set({ condition, status }, counts.get(status) ?? 0);
      }
    },
  });
}

function countBy<T>(items: readonly T[], valueOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(valueOf(item), (counts.get(valueOf(item)) ?? 0) + 1);
  return counts;
}
