/** Reconciles a tenant: read the world, observe the servers, decide, apply the difference, report in the status. */
import type { VolumeUsage } from '../api/tenant-status.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock, Random } from '../kube/clock/clock.ts';
import type { ReconcileContext, Reconciler, Result } from '../kube/runtime/controller.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import { isConflict, isForbidden, toError } from '../kube/types/errors.ts';
import type { Keys } from '../kube/types/keys.ts';
import { OwnerGoneError } from '../kube/types/owner.ts';
import { nameOf, type NamespacedName } from '../kube/types/types.ts';
import type { Applier } from '../kube/write/apply.ts';
import type { RecentWrites } from '../kube/write/recent-writes.ts';
import { isLatest } from '../kube/write/status.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import { CopilotTenant, isStopped } from '../resources/tenant.ts';
import { podsOfJobs } from '../resources/termination-message.ts';
import { reportActions } from './action-events.ts';
import { applyPlan, deletesServers, recreatesServers, type Outcome } from './apply.ts';
import { type CleanupRuns, cleanupRunsOf } from './cleanup/cleanup-runs.ts';
import { executeRuns } from './cleanup/run-executor.ts';
import { refusalOfRequest } from './decisions/refusal.ts';
import { withoutServers } from './drain-plan.ts';
import type { DrainWatch } from './gateway-drains.ts';
import type { HibernationDecision } from './decisions/hibernation.ts';
import type { FirstReady } from './first-ready.ts';
import type { Fleet } from './fleet.ts';
import { decideSleep, hasStopped, settled, type SleepSources, withSleep } from './hibernation.ts';
import type { TenantMetrics } from './metrics.ts';
import type { OperatorFacts, World } from './model.ts';
import { observeServers } from './observe.ts';
import { type Plan, stoppable } from './plan.ts';
import { Planner } from './planner.ts';
import type { SessionStatistics } from './sessions/session-statistics.ts';
import { volumeUsages } from './sessions/volume-usage.ts';
import type { NodeSource } from './nodes.ts';
import type { PodOwners } from './pod-owners.ts';
import type { StatusWriter } from './status-writer.ts';
import { isSteady, unobservedStatus } from './status.ts';
import { type ReconcileInputs, SteadyStates } from './steady-state.ts';
import { targetKey, type Targets } from './targets.ts';
import { statusToWrite } from './throttled-status.ts';
import { VolumeChecks } from './volume-checks.ts';
import { readWorld, type TenantStores, type WorldRead } from './world.ts';

export interface TenantReconcilerOptions {
  readonly client: KubeClient;
  readonly applier: Applier;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  readonly stores: TenantStores;
  readonly podOwners: PodOwners;
  readonly nodes: NodeSource;
  /** Our own writes of tenants' status, until the cache shows them. */
  readonly recent: RecentWrites;
  readonly health: HealthSource;
  /** The sessions that servers report. */
  readonly source: SessionSource;
  readonly targets: Targets;
  readonly statistics: SessionStatistics;
  readonly statusWriter: StatusWriter;
  readonly firstReady: FirstReady;
  readonly fleet: Fleet;
  /** Undefined: there is no gateway that can be asked. */
  readonly drains: DrainWatch | undefined;
  /** Undefined: nobody can be asked to wake tenants, so none sleeps. */
  readonly sleep: SleepSources | undefined;
  readonly metrics: TenantMetrics;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: OperatorFacts;
  /** Those that sign grants; undefined: there is no gateway. */
  readonly grantKeys?: Keys | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
}

/** The result of the steps read and observe. */
interface Observation extends ReconcileInputs {
  /** The last measured usage of the volumes, by index. */
  readonly usages: ReadonlyMap<number, VolumeUsage>;
  /** The runs of the cleanup, those that have ended and the open one. */
  readonly runs: CleanupRuns;
  /** When the reconcile started; wall clock, ms. */
  readonly now: number;
}

// Secrets are polled: a change is noticed within a minute, including up to 2 s by which the wait is rounded up. The jitter
// spreads the requests of a thousand tenants.
const POLL_MS = 46_000;
const POLL_JITTER_MS = 8_000;
/** The same for a tenant that sleeps, up to twice as long: whoever rotates a credential by deleting its Secret waits for it, or wakes it. */
const ASLEEP_POLL_MS = 600_000;
/** How often what is waited for is checked, in ms: its event may be missed, or there is none. */
const WAIT_POLL_MS = 10_000;
/** Time for the cache to show the write of a conflict, in ms. */
const CONFLICT_RETRY_MS = 200;
/** How wakes end. */
const WAKE_RESULTS = new Map<string | undefined, 'Awake' | 'Failed'>([
  ['Awake', 'Awake'],
  ['WakeFailed', 'Failed'],
]);

/** Every decision is made from the cluster's state; what is remembered here only saves work. */
export class TenantReconciler implements Reconciler {
  readonly #options: TenantReconcilerOptions;
  readonly #steadyStates = new SteadyStates();
  readonly #volumes: VolumeChecks;
  readonly #planner: Planner;

  constructor(options: TenantReconcilerOptions) {
    this.#options = options;
    this.#volumes = new VolumeChecks(options.statistics);
    this.#planner = new Planner(options, this.#volumes);
  }

  async reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const { tenants, recent, statusWriter, clock } = this.#options;
    const cached = tenants.get(request);
    if (cached === undefined) {
      this.#forget(request);
      return;
    }
    const tenant = recent.ofCached(CopilotTenant, cached);
    if (tenant.metadata.deletionTimestamp !== undefined) {
      this.#forget(request);
      await statusWriter.write(tenant, unobservedStatus(tenant, undefined, clock.now()), context.signal);
      return;
    }
    return this.#reconcileTenant(tenant, context);
  }

  /** Called instead of `reconcile` while the children cannot be listed or watched: none is changed, and the status says why. */
  async reconcileForbidden(request: NamespacedName, why: Error, context: ReconcileContext): Promise<void> {
    const { tenants, recent, targets, sleep } = this.#options;
    targets.remove(request);
    sleep?.wakes.settle(request, 'Asleep');
    const cached = tenants.get(request);
    if (cached === undefined) this.#steadyStates.forget(request);
    else await this.#reportUnreadable(recent.ofCached(CopilotTenant, cached), why, context);
  }

  /** The five steps of a reconcile: read, observe, decide, apply, report. */
  async #reconcileTenant(tenant: CopilotTenant, context: ReconcileContext): Promise<Result> {
    const { clock } = this.#options;
    const now = clock.now();
    const read = await this.#read(tenant, now, context);
    if (read === undefined) return { requeueAfterMs: this.#pollMs(tenant) };
    const sleep = this.#decideSleep(read.world, now);
    const world = { ...read.world, tenant: withSleep(tenant, sleep ? sleep.status : tenant.status?.hibernation) };
    if (world.tenant !== tenant) this.#steadyStates.forget(nameOf(tenant));
    const pollMs = this.#pollMs(world.tenant) - read.ageMs;
    const observation = this.#observe(world, now, sleep);
    const steadyMs = this.#steadyStates.remainingMs(observation, clock.monotonic());
    const sleepMs = sleep?.dueInMs ?? pollMs;
    if (steadyMs !== undefined) return { requeueAfterMs: Math.min(pollMs, steadyMs, sleepMs) };
    const budget = this.#options.fleet.budgetOf(tenant);
    let pending = 0;
    try {
      const plan = await this.#planner.decide(observation, budget, context.signal);
      pending = plan.pendingRollout?.servers ?? 0;
      const outcome = await this.#apply(world, plan, context);
      if (outcome === 'Outdated') return { requeueAfterMs: CONFLICT_RETRY_MS };
      if (outcome === 'Deleted') return {};
      budget.written(world.servers, outcome.servers);
      const batchMs = await executeRuns({ ...this.#options, ...context }, world, observation.runs, plan.volumeServer);
      const refused = this.#planner.recordRefused(world, plan, outcome);
      const reported = { ...plan, drains: withoutServers(plan.drains, refused) };
      const after = this.#fallAsleep(observation, outcome);
      const dueInMs = await this.#report(tenant, after, { ...reported, batchMs }, outcome, context);
      return { requeueAfterMs: Math.min(pollMs, dueInMs, sleepMs, budget.dueInMs ?? pollMs) };
    } finally {
      budget.close(pending);
    }
  }

  /** A tenant that sleeps needs its Secrets when it is woken, and then they are read at once. */
  #pollMs(tenant: CopilotTenant): number {
    const { random } = this.#options;
    if (tenant.status?.hibernation?.phase === 'Stopped') return ASLEEP_POLL_MS * (1 + random());
    return POLL_MS + POLL_JITTER_MS * random();
  }

  /** Decides whether it sleeps, before everything else, which depends on that. */
  #decideSleep(world: World, now: number, mayStop = false): HibernationDecision | undefined {
    const { sleep } = this.#options;
    const { tenant, servers } = world;
    const decision = decideSleep(world, observeServers(tenant, servers, this.#options).values(), sleep, now, mayStop);
    if (decision !== undefined) sleep?.wakes.settle(nameOf(tenant), settled(decision, tenant.status?.hibernation));
    return decision;
  }

  /** The observation, with the tenant asleep if this reconcile has stopped its servers for that. */
  #fallAsleep(observation: Observation, { servers }: Outcome): Observation {
    const { world, now } = observation;
    const { tenant } = world;
    if (tenant.status?.hibernation?.phase !== 'Draining' || !hasStopped(servers)) return observation;
    const decision = this.#decideSleep(world, now, true);
    return { ...observation, sleep: decision, world: { ...world, tenant: withSleep(tenant, decision?.status) } };
  }

  /** Reads the tenant's children and Secrets. Undefined if the operator is not allowed to, which the status then reports. */
  async #read(tenant: CopilotTenant, now: number, context: ReconcileContext): Promise<WorldRead | undefined> {
    const { firstReady } = this.#options;
    firstReady.start(tenant);
    try {
      return await readWorld(tenant, this.#options, now, context.signal);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      await this.#reportUnreadable(tenant, toError(error), context);
      return undefined;
    }
  }

  /** Observes servers, volumes and sessions: what was read, with what the servers answer. */
  #observe(world: World, now: number, sleep: HibernationDecision | undefined): Observation {
    const { targets, statistics } = this.#options;
    const { tenant, servers, cleanup } = world;
    targets.observe(tenant, servers);
    const usages = volumeUsages({ tenant, servers, pods: podsOfJobs(cleanup) });
    const observed = observeServers(tenant, servers, this.#options);
    const sessions = statistics.observe(tenant, servers, usages, tenant.status?.lastCleanup);
    return { world, observed, sessions, usages, runs: cleanupRunsOf(tenant, cleanup, now), sleep, now };
  }

  /**
   * Applies what differs, and registers the running servers for pings and surveys. `Outdated`: the tenant has changed, so
   * nothing was written. `Deleted`: the tenant no longer exists.
   */
  async #apply(world: World, plan: Plan, { signal, log }: ReconcileContext): Promise<Outcome | 'Outdated' | 'Deleted'> {
    const { client, recent, applier, facts, clock, targets } = this.#options;
    const { tenant } = world;
    // The deletion of a volume cannot be undone, so it is not based on a cache that may be late; nor is a server added that was removed.
    const changes = deletesServers(tenant, stoppable(plan)) || recreatesServers(tenant, plan.servers);
    if (!plan.paused && changes && !(await isLatest({ client, recent }, CopilotTenant, tenant, signal)))
      return 'Outdated';
    const outcome = await applyPlan({ applier, client, facts, clock, log }, world, plan, signal);
    if (outcome.errors.some((error) => error instanceof OwnerGoneError)) return 'Deleted';
    if (!isStopped(tenant) && plan.token !== undefined) {
      targets.register(tenant, outcome.servers.values(), plan.token);
    }
    return outcome;
  }

  /** Reports in events, metrics and the status, which differs from that of `before`. Returns when the next reconcile is due, in ms. */
  async #report(
    before: CopilotTenant,
    observation: Observation,
    plan: Plan & { readonly batchMs?: number | undefined },
    outcome: Outcome,
    context: ReconcileContext,
  ): Promise<number> {
    const { clock, metrics, statusWriter, statistics } = this.#options;
    const { world, usages, runs: cleanup, sleep, now } = observation;
    const { tenant } = world;
    reportActions(this.#options, tenant, plan, outcome, context.log);
    this.#volumes.record(plan.sweeps, now);
    const observed = [...observeServers(tenant, outcome.servers, this.#options).values()];
    const [error] = outcome.errors;
    // Not reported: the next reconcile starts from the newer object.
    if (isConflict(error)) return CONFLICT_RETRY_MS;
    const sessions = statistics.observe(tenant, outcome.servers, usages, cleanup.last);
    const result = {
      tenant,
      plan,
      outcome,
      observed,
      sessions,
      usages,
      lastCleanup: cleanup.last,
      blockedCleanup: cleanup.problem.blocked,
      sleepReason: sleep?.reason,
      now,
    };
    const { status, statisticsDueMs } = statusToWrite(result, statistics.writeDelayMs(nameOf(tenant)));
    this.#watchDrains(tenant, plan);
    const written = await statusWriter.write(before, status, context.signal);
    if (written === 'written') {
      for (const run of cleanup.counted) metrics.cleanedUp(run);
      const { phase, since = '' } = before.status?.hibernation ?? {};
      const result = phase === 'Waking' ? WAKE_RESULTS.get(sleep?.reason) : undefined;
      if (result !== undefined) metrics.woke(result, Math.max(0, now - Date.parse(since)));
    }
    if (error !== undefined) throw error;
    if (written === 'conflict') return CONFLICT_RETRY_MS;
    const waits = plan.rolling || plan.waits.length > 0 || outcome.waits.length > 0;
    const dues = [
      plan.dueInMs,
      plan.batchMs,
      waits ? WAIT_POLL_MS : undefined,
      outcome.retryAfterMs,
      cleanup.dueInMs,
      statisticsDueMs,
    ];
    const dueInMs = Math.min(...dues.flatMap((due) => due ?? []));
    if (written === 'unchanged' && isSteady(result)) this.#steadyStates.record(observation, dueInMs, clock.monotonic());
    return dueInMs;
  }

  /**
   * Also those that are over: before the cache shows what was written, the next reconcile decides the same again. But none whose pod goes
   * already, which may take days on a node that is lost.
   */
  #watchDrains(tenant: CopilotTenant, { drains = new Map() }: Plan): void {
    const asked = [...drains].filter(([, { end }]) => end !== 'Leaving');
    const epochs = new Map(asked.map(([index, { drain }]) => [targetKey(tenant, index), drain.epoch]));
    this.#options.drains?.watch(nameOf(tenant), epochs);
  }

  /** Reports that the children cannot be read; without all of them nothing is changed. */
  async #reportUnreadable(tenant: CopilotTenant, why: Error, { signal, log }: ReconcileContext): Promise<void> {
    const { statusWriter, clock } = this.#options;
    this.#steadyStates.forget(nameOf(tenant));
    this.#options.drains?.watch(nameOf(tenant), new Map());
    log.debug({ err: why }, "not allowed to read the tenant's resources");
    const cause = refusalOfRequest(why, "the tenant's resources");
    await statusWriter.write(tenant, unobservedStatus(tenant, cause, clock.now()), signal);
  }

  #forget(request: NamespacedName): void {
    const { targets, statistics, firstReady, fleet, drains, sleep } = this.#options;
    // Nobody starts it, however often it is asked for.
    sleep?.wakes.settle(request, 'Asleep');
    fleet.forget(request);
    drains?.watch(request, new Map());
    this.#planner.forget(request);
    targets.remove(request);
    statistics.forget(request);
    firstReady.forget(request);
    this.#steadyStates.forget(request);
  }
}
