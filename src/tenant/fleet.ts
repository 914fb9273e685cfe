/**
 * The budget of replacements over all tenants: roll-outs of a new operator version, and restarts of servers that do not respond. Who
 * has a place is read from the Deployments, so a new operator process goes on where the last one stopped.
 */
import type { Logger } from 'pino';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { Deployment } from '../kube/types/builtins.ts';
import { isControlledBy } from '../kube/types/owner.ts';
import { msLeft } from '../kube/types/time.ts';
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { type BudgetUse, compareServers, isOutage, isPaused } from './decisions/rollout-budget.ts';
import { replacementsOf, replicasOf, restartOf, rolloutStartOf } from './deployments.ts';
import { TenantBudget, type BudgetRequests } from './tenant-budget.ts';
import { PlaceQueue } from './place-queue.ts';
import { tenantOfTarget } from './targets.ts';

/** Name of the index of Deployments by what replaced their pods. */
export const REPLACED_INDEX = 'replaced';
const ROLLED_OUT = 'rollout';
const RESTARTED = 'restart';

/** The indexer of {@link REPLACED_INDEX}. */
export function replacedKeys(deployment: Deployment): string[] {
  return [
    ...(rolloutStartOf(deployment) === undefined ? [] : [ROLLED_OUT]),
    ...(restartOf(deployment) === undefined ? [] : [RESTARTED]),
  ];
}

/** A server that was rolled out and does not respond after this time is stuck, in ms; a Deployment's progress deadline is as long. */
const ROLLOUT_DEADLINE_MS = 10 * 60_000;
/** How long a server that drains keeps its place, in ms: `spec.drain.timeout` may be a day. */
const DRAIN_HOLD_MS = 10 * 60_000;
/** How long a restarted server that does not respond keeps its place, in ms. */
const RESTART_HOLD_MS = 2 * 60_000;
/** The same while so many do not respond that a restart will hardly help. */
const OUTAGE_HOLD_MS = 10 * 60_000;
/** No roll-out in the first seconds of a process, in ms: it does not know yet who waits, and who responds. */
const SETTLE_MS = 15_000;

/** What the budget is computed from. */
export interface FleetOptions {
  /** With {@link REPLACED_INDEX}. */
  readonly deployments: ReadonlyStore<Deployment>;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  readonly health: Pick<HealthSource, 'get' | 'counts'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** `--max-concurrent-rollouts`. */
  readonly max: number;
}

/** For metrics. */
export interface FleetCounts {
  /** Servers by their state in the roll-out of the operator's version. */
  readonly rollouts: Readonly<Record<'Pending' | 'Running' | 'Stuck', number>>;
  /** Unresponsive servers whose restart waits. */
  readonly restartsWaiting: number;
}

/** Everything is decided from the caches; what is remembered bridges the time until they show a write. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #rollouts: PlaceQueue;
  /** Those that are recycled take the places of the roll-out that it does not need. */
  readonly #recycles: PlaceQueue;
  readonly #restarts: PlaceQueue;
  /** What each tenant asked for last, and how many of its servers have an earlier version. */
  readonly #requests = new Map<string, BudgetRequests>();
  #startedAt: number | undefined;
  #stuck: readonly string[] = [];
  #outage = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#rollouts = new PlaceQueue(options.clock);
    this.#recycles = new PlaceQueue(options.clock);
    this.#restarts = new PlaceQueue(options.clock);
  }

  /** The budget for one reconcile of a tenant, which must close it. */
  budgetOf(tenant: CopilotTenant): TenantBudget {
    const { clock } = this.#options;
    this.#startedAt ??= clock.monotonic();
    const settlesInMs = this.#startedAt + SETTLE_MS - clock.monotonic();
    const use = this.#rolloutUse();
    this.#logStuck(use);
    return new TenantBudget(tenant, {
      use: { ...use, settling: settlesInMs > 0 },
      restartUse: () => this.#restartUse(),
      rollouts: this.#rollouts,
      recycles: this.#recycles,
      restarts: this.#restarts,
      settlesInMs,
      keepsPlace: (drainsSince) => isWithin(drainsSince, DRAIN_HOLD_MS, clock.now()),
      close: (requests) => this.#close(keyOf(tenant), requests),
    });
  }

  forget(request: NamespacedName): void {
    this.#close(keyOf(request), { rollouts: new Set(), recycles: new Set(), restarts: new Set(), pending: 0 });
  }

  /** The tenants whose servers the roll-out replaces next, as far as there are places. */
  next(): NamespacedName[] {
    const { max, running } = this.#rolloutUse();
    const waiting = [this.#rollouts, this.#recycles].flatMap((queue) => queue.waiting().toSorted(compareServers));
    return waiting.slice(0, Math.max(0, max - running.length)).map(tenantOfTarget);
  }

  counts(): FleetCounts {
    const { running, stuck } = this.#rolloutUse();
    const Pending = [...this.#requests.values()].reduce((sum, { pending }) => sum + pending, 0);
    return {
      rollouts: { Pending, Running: running.length - stuck.length, Stuck: stuck.length },
      restartsWaiting: this.#restarts.waiting().length,
    };
  }

  /** A server that was not asked for again no longer waits. */
  #close(tenant: string, requests: BudgetRequests): void {
    const before = this.#requests.get(tenant);
    for (const server of before?.rollouts ?? []) if (!requests.rollouts.has(server)) this.#rollouts.leave(server);
    for (const server of before?.recycles ?? []) if (!requests.recycles.has(server)) this.#recycles.leave(server);
    for (const server of before?.restarts ?? []) if (!requests.restarts.has(server)) this.#restarts.leave(server);
    // Nearly every tenant has asked for nothing, and is not remembered for that.
    const { rollouts, recycles, restarts, pending } = requests;
    if (rollouts.size + recycles.size + restarts.size + pending > 0) this.#requests.set(tenant, requests);
    else this.#requests.delete(tenant);
  }

  #rolloutUse(): BudgetUse {
    const { clock, max } = this.#options;
    const isLate = (live: Deployment): boolean => !isWithin(rolloutStartOf(live), ROLLOUT_DEADLINE_MS, clock.now());
    // One that was recycled and does not come back says nothing about the operator's version: others need not wait for it.
    const found = this.#replaced(ROLLED_OUT).filter((live) => !(isRecycled(live) && isLate(live)));
    const stuck = found.filter(isLate);
    return { max, running: this.#places([this.#rollouts, this.#recycles], found), stuck: stuck.map(keyOf) };
  }

  #restartUse(): BudgetUse {
    const { clock, health } = this.#options;
    // A server that hangs is restarted even if nothing is rolled out.
    const max = Math.max(1, this.#options.max);
    const holdMs = this.#isOutage(max) ? OUTAGE_HOLD_MS : RESTART_HOLD_MS;
    const found = this.#replaced(RESTARTED).filter(
      (live) => msLeft(restartTime(live), holdMs, clock.now()) > 0 && health.get(keyOf(live)).state !== 'Healthy',
    );
    return { max, running: this.#places([this.#restarts], found), stuck: [] };
  }

  /** Servers of tenants only: anybody may create a Deployment with our labels, and it must not take a place. */
  #replaced(by: string): Deployment[] {
    const { deployments, tenants } = this.#options;
    return deployments.byIndex(REPLACED_INDEX, by).filter((live) => {
      const tenant = tenants.get(tenantOfTarget(keyOf(live)));
      return tenant !== undefined && isControlledBy(live, tenant) && replicasOf(live) > 0;
    });
  }

  #places(queues: readonly PlaceQueue[], found: readonly Deployment[]): string[] {
    const { deployments } = this.#options;
    const generationOf = (server: string): number | undefined => deployments.get(server)?.metadata.generation;
    const granted = queues.flatMap((queue) => queue.granted(generationOf));
    return [...new Set([...found.map(keyOf), ...granted])];
  }

  #isOutage(max: number): boolean {
    const { health, log } = this.#options;
    const counts = [...health.counts()].filter(([state]) => state !== 'Unknown');
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    const responding = counts.reduce((sum, [state, count]) => (isUnresponsive(state) ? sum : sum + count), 0);
    const unresponsive = total - responding;
    const outage = isOutage({ total, unresponsive }, max);
    if (outage !== this.#outage) {
      const fields = { unresponsive, total, restartsAtATime: max };
      if (outage)
        log.warn(
          fields,
          'many servers do not respond at once: they are restarted slowly, because the network may be the cause',
        );
      else log.info(fields, 'servers respond again: they are restarted without a further delay');
    }
    this.#outage = outage;
    return outage;
  }

  #logStuck(use: BudgetUse): void {
    const added = use.stuck.filter((server) => !this.#stuck.includes(server));
    this.#stuck = use.stuck;
    if (added.length === 0) return;
    const fields = { servers: added, paused: isPaused(use), maxConcurrentRollouts: use.max };
    this.#options.log.warn(
      fields,
      'servers that the roll-out has replaced do not respond; they keep their places in it',
    );
  }
}

// With a wrong token it does respond, and a restart does not help.
const isUnresponsive = (state: string): boolean => state !== 'Healthy' && state !== 'AuthFailed';

/** Without a time that can be read it began too long ago. */
function isWithin(at: string | undefined, ms: number, now: number): boolean {
  return at !== undefined && now - Date.parse(at) <= ms;
}

/** NaN: it was not restarted. */
function restartTime(live: Deployment): number {
  return Date.parse(restartOf(live)?.at ?? '');
}

/** Whether it has its place because its tenant had it recycled: then both were written at once. */
function isRecycled(live: Deployment): boolean {
  return rolloutStartOf(live) === replacementsOf(live).replacedAt;
}
