/** What a tenant's status says of its sessions, from what its servers last told. */
import type { LastCleanup, VolumeUsage } from '../../api/tenant-status.ts';
import type { ServerSessions, SessionSource } from '../../servers/survey/sessions.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { keyOf, type NamespacedName } from '../../kube/types/types.ts';
import { serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { pressureAfterCleanup, pressureVerdict, takenBy, volumeOf } from './storage-pressure.ts';
import { isReady, servingPod } from '../pods.ts';
import { targetKey, tenantOfTarget } from '../targets.ts';
import type { ServerWorld } from '../model.ts';
import {
  type Known,
  type SessionsStatus,
  keptByCleanup,
  present,
  fullestSeen,
  lastPressure,
  sessionsStatus,
  type Figures,
} from './sessions-status.ts';

/** Numbers alone are worth one write of a tenant in this time, in ms. With a look at each server every 30 s, they are right within a minute. */
export const NUMBERS_EVERY_MS = 20_000;
/** How long a process that has just begun waits for a server that does not answer before the others are told, in ms. */
const PATIENCE_MS = 60_000;
const MINUTE_MS = 60_000;

interface TenantKnown {
  /** Monotonic, ms. */
  readonly since: number;
  /** When numbers were last written, or the tenant was first seen; monotonic, ms. */
  wroteAt: number;
  servers: ReadonlyMap<string, Known>;
}

/**
 * Remembers the last numbers of each server: one that can't be asked keeps them while it runs. Nothing else of a tenant is remembered
 * here, and what a process that has just begun does not know yet stays as the status has it.
 */
export class SessionFigures {
  readonly #source: SessionSource;
  readonly #clock: Clock;
  readonly #tenants = new Map<string, TenantKnown>();

  constructor(source: SessionSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /**
   * What the status is to say now. `usages`: what was last seen of the volumes, by index. `lastCleanup`: the last run that has ended.
   * Each may be told already or not.
   */
  look(
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
    const kept = keptByCleanup(tenant, lastCleanup);
    if (kept !== undefined) {
      // What servers told before it is not true any more: when they run again, each is waited for.
      this.#tenants.set(key, { since: now, wroteAt: this.#tenants.get(key)?.wroteAt ?? now, servers: new Map() });
      const { lastActivityTime } = tenant.status ?? {};
      const fields = present({ sessions: { active: 0, loaded: 0, total: kept }, lastActivityTime, storage: undefined });
      const seen = fullestSeen(volumes);
      const pressure = seen === undefined ? pressureAfterCleanup() : pressureVerdict(seen, lastPressure(tenant));
      return { fields, pressure };
    }
    const before = this.#tenants.get(key) ?? { since: now, wroteAt: now, servers: new Map<string, Known>() };
    const wanted = volumes.map((volume, index) => {
      const target = targetKey(tenant, index);
      const pod = servingPod(servers.get(index) ?? { pods: [] });
      const last = lastOf(before.servers.get(target)?.figures, pod !== undefined && isReady(pod));
      return [target, { ...volume, figures: figuresOf(this.#source.get(target)) ?? last }] as const;
    });
    this.#tenants.set(key, { ...before, servers: new Map(wanted) });
    const known = wanted.map(([, server]) => server);
    return sessionsStatus(tenant, known, now - before.since >= PATIENCE_MS);
  }

  /** How many sessions a server has told of; undefined: it has not told any. */
  totalOf(tenant: CopilotTenant, index: number): number | undefined {
    return this.#tenants.get(keyOf(tenant))?.servers.get(targetKey(tenant, index))?.figures?.total;
  }

  /** How long numbers alone are to wait for their next write, in ms; 0: they may be written. */
  waitMs(request: NamespacedName): number {
    const { wroteAt } = this.#tenants.get(keyOf(request)) ?? {};
    return wroteAt === undefined ? 0 : Math.max(0, wroteAt + NUMBERS_EVERY_MS - this.#clock.monotonic());
  }

  /** Takes note that the status was written. */
  wrote(tenant: CopilotTenant): void {
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
      const figures = figuresOf(this.#source.get(target));
      const tenant = tenantOfTarget(target);
      const known = this.#tenants.get(keyOf(tenant))?.servers.get(target);
      if (figures === undefined || known === undefined) return;
      const [is, was] = [figures, known.figures ?? NONE].map((each) => volumeOf(target, each.bytes, known.capacity));
      const same = (['active', 'loaded', 'total', 'lastActivity'] as const).every(
        (field) => figures[field] === (known.figures ?? NONE)[field],
      );
      if (same && is?.percent === was?.percent) return;
      const flips = pressureVerdict(is, undefined).reason !== pressureVerdict(was, undefined).reason;
      fn(tenant, flips ? 0 : this.waitMs(tenant));
    });
  }
}

const NONE: Figures = { active: 0, loaded: 0, total: 0, bytes: 0, lastActivity: 0 };

/** What a server that can't be asked told last. Once its pod is gone, there is no memory that could hold a session. */
function lastOf(figures: Figures | undefined, runs: boolean): Figures | undefined {
  return runs || figures === undefined ? figures : { ...figures, active: 0, loaded: 0 };
}

// A server with thousands of sessions tells of changes several times a second: each answer is counted once.
const counted = new WeakMap<ServerSessions, Figures>();

function figuresOf(answer: ServerSessions | undefined): Figures | undefined {
  if (answer === undefined) return undefined;
  const known = counted.get(answer);
  if (known) return known;
  const { active, loaded, sessions, totalBytes, at } = answer;
  let last = 0;
  // A time to come is a clock that is wrong.
  for (const { lastActivityTime } of sessions.values()) last = Math.max(last, Math.min(lastActivityTime, at));
  const lastActivity = Math.floor(last / MINUTE_MS) * MINUTE_MS;
  const bytes = takenBy(sessions.size, totalBytes);
  const figures = { active, loaded, total: sessions.size, bytes, lastActivity };
  counted.set(answer, figures);
  return figures;
}
