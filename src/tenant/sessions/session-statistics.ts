/** Counts the sessions of each tenant from the reports of its servers, and limits how often they are written to the status. */
import type { LastCleanup, VolumeUsage } from '../../api/tenant-status.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { keyOf, nameOf, type NamespacedName } from '../../kube/types/types.ts';
import { mergedSessions } from '../../servers/survey/facts.ts';
import type { ServerSessions, SessionSource } from '../../servers/survey/sessions.ts';
import { claimName, serverName } from '../../resources/names.ts';
import { isSharedStorage, type CopilotTenant } from '../../resources/tenant.ts';
import type { ServerWorld } from '../model.ts';
import { isReady } from '../../resources/pod.ts';
import { servingPod } from '../pods.ts';
import { targetKey, tenantOfTarget } from '../targets.ts';
import type { ClientCounts } from '../gateway-clients.ts';
import {
  definedFields,
  fullestMeasured,
  type LastReport,
  remainingAfterCleanup,
  reportedPressure,
  type ServerStatistics,
  type SessionsStatus,
  sessionsStatus,
} from './sessions-status.ts';
import {
  estimatedBytes,
  estimatedLevel,
  storagePressureAfterCleanup,
  storagePressureVerdict,
} from './storage-pressure.ts';

/** Interval of status writes that change only statistics, in ms. With a survey of each server every 30 s they are right within a minute. */
export const STATISTICS_WRITE_INTERVAL_MS = 20_000;
/** How long a process that has just started waits for a silent server before it reports the sum of the others, in ms. */
const STARTUP_GRACE_MS = 60_000;
const MINUTE_MS = 60_000;

/** What is known of one tenant. */
interface TenantRecord {
  /** When the tenant was first observed; monotonic, ms. */
  readonly since: number;
  /** When the status was last written, or the tenant was first observed; monotonic, ms. */
  wroteAt: number;
  servers: ReadonlyMap<string, LastReport>;
  /** Of the volume that all servers share, as they reported it together last. */
  shared?: ServerStatistics | undefined;
}

/**
 * Remembers the last statistics of each server, which an unreachable server keeps while its pod runs. What a process that has just
 * started does not know yet stays as it is in the status.
 */
export class SessionStatistics {
  readonly #source: SessionSource;
  readonly #clock: Clock;
  readonly #clients: ClientCounts | undefined;
  readonly #tenants = new Map<string, TenantRecord>();

  /** `clients`: of the gateway; undefined without one. */
  constructor(source: SessionSource, clock: Clock, clients?: ClientCounts) {
    this.#source = source;
    this.#clock = clock;
    this.#clients = clients;
  }

  /**
   * The sessions part of the status. `usages`: the last measured usage of the volumes, by index. `lastCleanup`: the last run that has
   * ended. Both may or may not be in the status already.
   */
  observe(
    tenant: CopilotTenant,
    servers: ReadonlyMap<number, ServerWorld>,
    usages: ReadonlyMap<number, VolumeUsage>,
    lastCleanup: LastCleanup | undefined,
  ): SessionsStatus {
    const { fields, pressure } = this.#observe(tenant, servers, usages, lastCleanup);
    const { access, clients: last } = tenant.status ?? {};
    const clients = access === 'Gateway' && this.#clients ? (this.#clients.get(nameOf(tenant)) ?? last) : undefined;
    return { fields: { ...fields, ...(clients !== undefined && { clients }) }, pressure };
  }

  #observe(
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
      // The reports from before the cleanup are outdated: when servers run again, each is waited for.
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
    const shared = isSharedStorage(tenant) ? this.#sharedStatistics(tenant, servers, before.shared) : undefined;
    this.#tenants.set(key, { ...before, servers: new Map(reports), ...(shared && { shared }) });
    const [first] = volumes;
    const known =
      isSharedStorage(tenant) && first !== undefined
        ? [{ ...first, name: claimName(tenant, 0), statistics: shared }]
        : reports.map(([, server]) => server);
    return sessionsStatus(tenant, known, now - before.since >= STARTUP_GRACE_MS);
  }

  /** Each session once, whichever servers list it. `last`: what they reported before. */
  #sharedStatistics(
    tenant: CopilotTenant,
    servers: ReadonlyMap<number, ServerWorld>,
    last: ServerStatistics | undefined,
  ): ServerStatistics | undefined {
    const indexes = Array.from({ length: tenant.spec.replicas }, (_, index) => index);
    const answers = indexes.flatMap((index) => this.#source.get(targetKey(tenant, index)) ?? []);
    const runs = indexes.some((index) => {
      const pod = servingPod(servers.get(index) ?? { pods: [] });
      return pod !== undefined && isReady(pod);
    });
    return statisticsOf(mergedSessions(answers)) ?? whileUnreachable(last, runs);
  }

  /** How many sessions a server has reported; undefined: no report yet. */
  totalOf(tenant: CopilotTenant, index: number): number | undefined {
    return this.#tenants.get(keyOf(tenant))?.servers.get(targetKey(tenant, index))?.statistics?.total;
  }

  /** How long a write that changes only statistics has to wait, in ms; 0: it may be done now. */
  writeDelayMs(request: NamespacedName): number {
    const { wroteAt } = this.#tenants.get(keyOf(request)) ?? {};
    return wroteAt === undefined ? 0 : Math.max(0, wroteAt + STATISTICS_WRITE_INTERVAL_MS - this.#clock.monotonic());
  }

  /** Records that the status was written. */
  statusWritten(tenant: CopilotTenant): void {
    const known = this.#tenants.get(keyOf(tenant));
    if (known) known.wroteAt = this.#clock.monotonic();
  }

  /** Forgets a tenant that was deleted. */
  forget(request: NamespacedName): void {
    this.#tenants.delete(keyOf(request));
  }

  /**
   * Calls `fn` when the status of a tenant may have to change, with the delay until that is due. Servers report each event of each
   * turn, and most of these change no statistics.
   */
  onChange(fn: (tenant: NamespacedName, afterMs: number) => void): void {
    this.#clients?.onChange((tenant) => fn(tenant, this.writeDelayMs(tenant)));
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

/** The last statistics of an unreachable server. Without a ready pod no session can be loaded. */
function whileUnreachable(statistics: ServerStatistics | undefined, runs: boolean): ServerStatistics | undefined {
  return runs || statistics === undefined ? statistics : { ...statistics, active: 0, loaded: 0 };
}

// A server with thousands of sessions reports several changes a second: each report is counted once.
const statisticsCache = new WeakMap<ServerSessions, ServerStatistics>();

function statisticsOf(answer: ServerSessions | undefined): ServerStatistics | undefined {
  if (answer === undefined) return undefined;
  const known = statisticsCache.get(answer);
  if (known) return known;
  const { active, loaded, sessions, totalBytes, at } = answer;
  let last = 0;
  // A time in the future comes from a wrong clock.
  for (const { lastActivityTime } of sessions.values()) last = Math.max(last, Math.min(lastActivityTime, at));
  const lastActivity = Math.floor(last / MINUTE_MS) * MINUTE_MS;
  const bytes = estimatedBytes(sessions.size, totalBytes);
  const statistics = { active, loaded, total: sessions.size, bytes, lastActivity };
  statisticsCache.set(answer, statistics);
  return statistics;
}
