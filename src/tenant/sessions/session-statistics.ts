/** What a tenant's status says of its sessions, from what its servers last told. */
import type { LastCleanup, VolumeUsage } from '../../api/tenant-status.ts';
import type { ServerSessions, SessionSource } from '../../servers/survey/sessions.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { keyOf, type NamespacedName } from '../../kube/types/types.ts';
import { serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import {
  storagePressureAfterCleanup,
  storagePressureVerdict,
  estimatedBytes,
  estimatedLevel,
} from './storage-pressure.ts';
import { isReady, servingPod } from '../pods.ts';
import { targetKey, tenantOfTarget } from '../targets.ts';
import type { ServerWorld } from '../model.ts';
import {
  type LastReport,
  type SessionsStatus,
  remainingAfterCleanup,
  definedFields,
  fullestMeasured,
  reportedPressure,
  sessionsStatus,
  type ServerStatistics,
} from './sessions-status.ts';

/** Numbers alone are worth one write of a tenant in this time, in ms. With a look at each server every 30 s, they are right within a minute. */
export const STATISTICS_WRITE_INTERVAL_MS = 20_000;
/** How long a process that has just begun waits for a server that does not answer before the others are told, in ms. */
const STARTUP_GRACE_MS = 60_000;
const MINUTE_MS = 60_000;

interface TenantRecord {
  /** Monotonic, ms. */
  readonly since: number;
  /** When numbers were last written, or the tenant was first seen; monotonic, ms. */
  wroteAt: number;
  servers: ReadonlyMap<string, LastReport>;
}

/**
 * Remembers the last numbers of each server: one that can't be asked keeps them while it runs. Nothing else of a tenant is remembered
 * here, and what a process that has just begun does not know yet stays as the status has it.
 */
export class SessionStatistics {
  readonly #source: SessionSource;
  readonly #clock: Clock;
  readonly #tenants = new Map<string, TenantRecord>();

  constructor(source: SessionSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /**
   * What the status is to say now. `usages`: what was last measured of the volumes, by index. `lastCleanup`: the last run that has ended.
   * Each may be told already or not.
   */
  observe(
    tenant: CopilotTenant,
    servers: ReadonlyMap<number, ServerWorld>,
    usages: ReadonlyMap<number, VolumeUsage>,
    lastCleanup: LastCleanup | undefined,
  ): SessionsStatus {
    const now = this.#clock.monotonic();
    const key = keyOf(tenant);
    const volumes = Array.from({ length: tenant.spec.replicas }, (_, index) => ({
      name: serverName(tenant.metadata.name, index),
      capacity: servers.get(index)?.claim?.status?.capacity?.['storage'],
      usage: usages.get(index),
    }));
    const remaining = remainingAfterCleanup(tenant, lastCleanup);
    if (remaining !== undefined) {
      // What servers told before it is not true any more: when they run again, each is waited for.
      this.#tenants.set(key, { since: now, wroteAt: this.#tenants.get(key)?.wroteAt ?? now, servers: new Map() });
      const { lastActivityTime } = tenant.status ?? {};
      const fields = definedFields({
        sessions: { active: 0, loaded: 0, total: remaining },
        lastActivityTime,
        storage: undefined,
      });
      const measured = fullestMeasured(volumes);
      const pressure =
        measured === undefined
          ? storagePressureAfterCleanup()
          : storagePressureVerdict(measured, reportedPressure(tenant));
      return { fields, pressure };
    }
    const before = this.#tenants.get(key) ?? { since: now, wroteAt: now, servers: new Map<string, LastReport>() };
    const reports = volumes.map((volume, index) => {
      const target = targetKey(tenant, index);
      const pod = servingPod(servers.get(index) ?? { pods: [] });
      const last = whileUnreachable(before.servers.get(target)?.statistics, pod !== undefined && isReady(pod));
      return [target, { ...volume, statistics: statisticsOf(this.#source.get(target)) ?? last }] as const;
    });
    this.#tenants.set(key, { ...before, servers: new Map(reports) });
    const known = reports.map(([, server]) => server);
    return sessionsStatus(tenant, known, now - before.since >= STARTUP_GRACE_MS);
  }

  /** How many sessions a server has told of; undefined: it has not told any. */
  totalOf(tenant: CopilotTenant, index: number): number | undefined {
    return this.#tenants.get(keyOf(tenant))?.servers.get(targetKey(tenant, index))?.statistics?.total;
  }

  /** How long numbers alone are to wait for their next write, in ms; 0: they may be written. */
  writeDelayMs(request: NamespacedName): number {
    const { wroteAt } = this.#tenants.get(keyOf(request)) ?? {};
    return wroteAt === undefined ? 0 : Math.max(0, wroteAt + STATISTICS_WRITE_INTERVAL_MS - this.#clock.monotonic());
  }

  /** Takes note that the status was written. */
  statusWritten(tenant: CopilotTenant): void {
    const known = this.#tenants.get(keyOf(tenant));
    if (known) known.wroteAt = this.#clock.monotonic();
  }

  forget(request: NamespacedName): void {
    this.#tenants.delete(keyOf(request));
  }

  /**
   * Calls `fn` when the status of a tenant may have to change, and in how many ms that is due. A server tells of each
   * event of each turn; most of them change no number.
   */
  onChange(fn: (tenant: NamespacedName, afterMs: number) => void): void {
    this.#source.onChange((target) => {
      const statistics = statisticsOf(this.#source.get(target));
      const tenant = tenantOfTarget(target);
      const known = this.#tenants.get(keyOf(tenant))?.servers.get(target);
      if (statistics === undefined || known === undefined) return;
      const [after, before] = [statistics, known.statistics ?? NO_SESSIONS].map((each) =>
        estimatedLevel(target, each.bytes, known.capacity),
      );
      const same = (['active', 'loaded', 'total', 'lastActivity'] as const).every(
        (field) => statistics[field] === (known.statistics ?? NO_SESSIONS)[field],
      );
      if (same && after?.percent === before?.percent) return;
      const changes =
        storagePressureVerdict(after, undefined).reason !== storagePressureVerdict(before, undefined).reason;
      fn(tenant, changes ? 0 : this.writeDelayMs(tenant));
    });
  }
}

const NO_SESSIONS: ServerStatistics = { active: 0, loaded: 0, total: 0, bytes: 0, lastActivity: 0 };

/** What a server that can't be asked told last. Once its pod is gone, there is no memory that could hold a session. */
function whileUnreachable(statistics: ServerStatistics | undefined, runs: boolean): ServerStatistics | undefined {
  return runs || statistics === undefined ? statistics : { ...statistics, active: 0, loaded: 0 };
}

// A server with thousands of sessions tells of changes several times a second: each answer is counted once.
const statisticsCache = new WeakMap<ServerSessions, ServerStatistics>();

function statisticsOf(answer: ServerSessions | undefined): ServerStatistics | undefined {
  if (answer === undefined) return undefined;
  const known = statisticsCache.get(answer);
  if (known) return known;
  const { active, loaded, sessions, totalBytes, at } = answer;
  let last = 0;
  // A time to come is a clock that is wrong.
  for (const { lastActivityTime } of sessions.values()) last = Math.max(last, Math.min(lastActivityTime, at));
  const lastActivity = Math.floor(last / MINUTE_MS) * MINUTE_MS;
  const bytes = estimatedBytes(sessions.size, totalBytes);
  const statistics = { active, loaded, total: sessions.size, bytes, lastActivity };
  statisticsCache.set(answer, statistics);
  return statistics;
}
