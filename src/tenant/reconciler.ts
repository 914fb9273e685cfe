/** One pass of a tenant: read the world, decide, write the difference, tell the status. */
import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGER } from '../api/names.ts';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import type { VolumeUsage } from '../api/tenant-status.ts';
import { ConditionType } from '../api/conditions.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { Applier } from '../kube/write/apply.ts';
import { Deployment } from '../kube/types/builtins.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock, Random } from '../kube/clock/clock.ts';
import { isConditionTrue } from '../kube/write/conditions.ts';
import type { ReconcileContext, Reconciler, Result } from '../kube/runtime/controller.ts';
import { isConflict, isForbidden, toError } from '../kube/types/errors.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import { LruMap } from '../kube/cache/lru.ts';
import { OwnerGoneError } from '../kube/types/owner.ts';
import type { RecentWrites } from '../kube/write/recent-writes.ts';
import { isLatest, writeStatus, type StatusWrite } from '../kube/write/status.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { keyOf, nameOf, type NamespacedName } from '../kube/types/types.ts';
import { cleanupRuns, type CleanupRuns } from './cleanup/cleanup-runs.ts';
import { refusalOfRequest } from './decisions/refusal.ts';
import { volumeUsages } from './sessions/volume-usage.ts';
import type { TenantMetrics } from './metrics.ts';
import { observeServer } from './observe.ts';
import { plan } from './plan.ts';
import type { SessionFigures } from './sessions/session-statistics.ts';
import { SettledPasses, type Grounds } from './steady-state.ts';
import { computeStatus, unlookedStatus, type StatusInput } from './status.ts';
import { targetKey, type Targets } from './targets.ts';
import { CopilotTenant } from '../resources/tenant.ts';
import { EventReason, transitions } from './transitions.ts';
import { isRemoving, update } from './apply.ts';
import { readWorld, type TenantStores } from './world.ts';
import type { VolumeFacts, ServerObservation, OperatorFacts, CleanupWorld, ServerWorld, World } from './model.ts';
import { flips, numbersAsTold } from './sessions/sessions-status.ts';

export interface TenantReconcilerOptions {
  readonly client: KubeClient;
  readonly applier: Applier;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  readonly stores: TenantStores;
  /** Our own writes of tenants' status, until the cache shows them. */
  readonly recent: RecentWrites;
  readonly health: HealthSource;
  readonly targets: Targets;
  readonly figures: SessionFigures;
  readonly metrics: TenantMetrics;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: OperatorFacts;
  readonly clock: Clock;
  readonly random: Random;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
}

// Secrets are polled: a change is noticed within a minute, though the end of the wait is rounded up by 2 s, and a thousand
// tenants do not ask at the same moment.
const POLL_MS = 46_000;
const POLL_JITTER_MS = 8_000;
/** Until the cache shows what a conflicting write was about, in ms. */
const CONFLICT_RETRY_MS = 200;
/** Volumes of which it is remembered when they were looked at. */
const MAX_ASKED = 10_000;

export class TenantReconciler implements Reconciler {
  readonly #options: TenantReconcilerOptions;
  /** UIDs of the tenants that were seen before their first status and have not been Ready yet, by key. */
  readonly #young = new Map<string, string | undefined>();
  readonly #settled = new SettledPasses();
  /** When volumes were looked at last, by the UID of the claim: one that tells nothing is not looked at over and over. */
  readonly #askedAt = new LruMap<string, number>(MAX_ASKED);

  constructor(options: TenantReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const { tenants, recent } = this.#options;
    const cached = tenants.get(request);
    if (cached === undefined) {
      this.#forget(request);
      return;
    }
    const tenant = recent.ofCached(CopilotTenant, cached);
    if (tenant.metadata.deletionTimestamp !== undefined) {
      this.#forget(request);
      await this.#writeStatus(tenant, unlookedStatus(tenant, undefined, this.#options.clock.now()), context.signal);
      return;
    }
    return this.#converge(tenant, context);
  }

  /**
   * Its children can't be seen, so none is touched, and no address is believed that may be another pod's by now; the tenant says why.
   */
  async reconcileForbidden(request: NamespacedName, why: Error, context: ReconcileContext): Promise<void> {
    const { tenants, recent, targets } = this.#options;
    targets.forget(request);
    const cached = tenants.get(request);
    if (cached === undefined) this.#settled.forget(request);
    else await this.#tellUnseen(recent.ofCached(CopilotTenant, cached), why, context);
  }

  /** Nothing is done on half a look. */
  async #tellUnseen(tenant: CopilotTenant, why: Error, { signal, log }: ReconcileContext): Promise<void> {
    this.#settled.forget(nameOf(tenant));
    log.debug({ err: why }, 'the API server does not show what belongs to the tenant');
    const cause = refusalOfRequest(why, 'what belongs to the tenant');
    await this.#writeStatus(tenant, unlookedStatus(tenant, cause, this.#options.clock.now()), signal);
  }

  async #converge(tenant: CopilotTenant, context: ReconcileContext): Promise<Result> {
    const { signal, log } = context;
    const { client, stores, clock, random, applier, facts, targets, randomBytes, recorder, recent, metrics, figures } =
      this.#options;
    const now = clock.now();
    if (tenant.status === undefined) this.#young.set(keyOf(tenant), tenant.metadata.uid);
    const pollMs = POLL_MS + POLL_JITTER_MS * random();
    let world: World;
    try {
      world = await readWorld(tenant, stores, client, now, signal);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      await this.#tellUnseen(tenant, toError(error), context);
      return { requeueAfterMs: pollMs };
    }
    targets.look(tenant, world.servers);
    const usages = volumeUsages({ tenant, servers: world.servers, pods: world.cleanup.pods });
    const grounds: Grounds = {
      world,
      observed: this.#observe(tenant, world.servers),
      sessions: figures.look(tenant, world.servers, usages, tenant.status?.lastCleanup),
    };
    const restMs = this.#settled.restMs(grounds, clock.monotonic());
    if (restMs !== undefined) return { requeueAfterMs: Math.min(pollMs, restMs) };
    this.#settled.forget(nameOf(tenant));
    const planned = plan({
      world,
      facts,
      observed: grounds.observed,
      volumes: this.#volumes(tenant, world.servers, usages),
      wouldWrite: (desired, live) => applier.wouldWrite(Deployment, desired, live, tenant),
      now,
      randomBytes,
    });
    // A volume that goes with its server is gone for good, so a late cache is not believed.
    if (isRemoving(tenant, planned.surplus) && !(await isLatest({ client, recent }, CopilotTenant, tenant, signal))) {
      return { requeueAfterMs: CONFLICT_RETRY_MS };
    }
    const outcome = await update({ applier, client, facts, clock, log }, world, planned, signal);
    if (outcome.errors.some((error) => error instanceof OwnerGoneError)) return {};
    if (!tenant.spec.suspend && planned.token !== undefined) {
      targets.watch(tenant, outcome.servers.values(), planned.token);
    }
    const observed = [...this.#observe(tenant, outcome.servers).values()];
    for (const { name, restart } of outcome.restarted) {
      log.warn({ server: name, ...restart }, 'restarting a server that does not answer');
      recorder.event(tenant, 'Warning', EventReason.ServerRestarted, `Restarting server ${name}: ${restart?.message}`);
      metrics.restarted();
    }
    for (const step of planned.sweeps) {
      if (step.action === 'ask') this.#askedAt.set(step.claim.metadata.uid ?? '', now);
    }
    for (const message of outcome.sweepFailures) {
      recorder.event(tenant, 'Warning', EventReason.SweepFailed, message);
    }
    const [error] = outcome.errors;
    // Nobody needs to read of it: the next try starts from what is there now.
    if (isConflict(error)) return { requeueAfterMs: CONFLICT_RETRY_MS };
    const cleanup = runsOf(tenant, world.cleanup, now);
    const found = { tenant, plan: planned, outcome, observed, usages, lastCleanup: cleanup.last, now };
    const { status, numbersDueMs } = this.#status(found);
    const written = await this.#writeStatus(tenant, status, signal);
    if (written === 'written') for (const run of cleanup.counted) metrics.cleanedUp(run);
    if (error !== undefined) throw error;
    if (written === 'conflict') return { requeueAfterMs: CONFLICT_RETRY_MS };
    const dues = [planned.recheckAfterMs, outcome.retryAfterMs, cleanup.dueInMs, numbersDueMs];
    const dueInMs = Math.min(...dues.flatMap((due) => due ?? []));
    if (written === 'unchanged' && isAtRest(found)) this.#settled.settle(grounds, dueInMs, clock.monotonic());
    return { requeueAfterMs: Math.min(pollMs, dueInMs) };
  }

  #forget(request: NamespacedName): void {
    const { targets, figures } = this.#options;
    targets.forget(request);
    figures.forget(request);
    this.#settled.forget(request);
    this.#young.delete(keyOf(request));
  }

  /** The status to write. Numbers of sessions that alone have changed wait for their turn, when that is due. */
  #status(found: Omit<StatusInput, 'sessions'>): { status: CopilotTenantStatus; numbersDueMs?: number } {
    const { figures } = this.#options;
    const { tenant, outcome } = found;
    const sessions = figures.look(tenant, outcome.servers, found.usages, found.lastCleanup);
    const status = computeStatus({ ...found, sessions });
    const waitMs = flips(tenant, sessions) ? 0 : figures.waitMs(nameOf(tenant));
    if (waitMs === 0) return { status };
    const former = computeStatus({ ...found, sessions: numbersAsTold(tenant) });
    // What is to be written anyway takes the numbers along.
    if (!isDeepStrictEqual(former, tenant.status) || isDeepStrictEqual(status, former)) return { status };
    return { status: former, numbersDueMs: waitMs };
  }

  #volumes(
    tenant: CopilotTenant,
    servers: ReadonlyMap<number, ServerWorld>,
    usages: ReadonlyMap<number, VolumeUsage>,
  ): Map<number, VolumeFacts> {
    const { figures } = this.#options;
    const factsOf = ({ index, claim }: ServerWorld): VolumeFacts => ({
      sessions: figures.totalOf(tenant, index),
      usage: usages.get(index),
      askedAt: this.#askedAt.get(claim?.metadata.uid ?? ''),
    });
    return new Map([...servers.values()].map((server) => [server.index, factsOf(server)]));
  }

  #observe(tenant: CopilotTenant, servers: ReadonlyMap<number, ServerWorld>): Map<number, ServerObservation> {
    const { health, targets } = this.#options;
    const { spec, status, metadata } = tenant;
    const observed = new Map<number, ServerObservation>();
    for (let index = 0; index < spec.replicas; index++) {
      const found = health.get(targetKey(tenant, index));
      const adopted = found.state === 'Unknown' && targets.isAdopted(tenant, index);
      const observation = observeServer({
        tenant: metadata.name,
        server: servers.get(index) ?? { index, pods: [] },
        running: !spec.suspend,
        health: found,
        remembered: adopted ? status?.servers?.[index] : undefined,
      });
      observed.set(index, observation);
    }
    return observed;
  }

  async #writeStatus(
    tenant: CopilotTenant,
    status: CopilotTenantStatus,
    signal: AbortSignal,
  ): Promise<StatusWrite | 'forbidden'> {
    const { client, recent, recorder, figures } = this.#options;
    let outcome: StatusWrite;
    try {
      outcome = await writeStatus(
        { client, recent, fieldManager: FIELD_MANAGER },
        CopilotTenant,
        tenant,
        status,
        signal,
      );
    } catch (error) {
      if (!isForbidden(error)) throw error;
      // Tried again at each look, as all that is forbidden: with back-off it could take a quarter of an hour to notice a mend.
      this.#tellBesideStatus(tenant, error);
      return 'forbidden';
    }
    if (outcome !== 'written') return outcome;
    figures.wrote(tenant);
    this.#countReady(tenant, status);
    for (const { type, reason, message } of transitions(tenant.status, status)) {
      recorder.event(tenant, type, reason, message);
    }
    return outcome;
  }

  #countReady(tenant: CopilotTenant, status: CopilotTenantStatus): void {
    const { clock, metrics } = this.#options;
    const { uid, creationTimestamp = '' } = tenant.metadata;
    const isFirst = isConditionTrue(status.conditions, ConditionType.Ready) && this.#young.get(keyOf(tenant)) === uid;
    if (!isFirst) return;
    this.#young.delete(keyOf(tenant));
    metrics.becameReady(clock.now() - Date.parse(creationTimestamp));
  }

  /** What the status may not say is said by an event. */
  #tellBesideStatus(tenant: CopilotTenant, error: unknown): void {
    const refusal = refusalOfRequest(error, `CopilotTenant ${tenant.metadata.name}`);
    if (refusal) this.#options.recorder.event(tenant, 'Warning', refusal.reason, refusal.message);
  }
}

/** Whether nothing is refused, waited for or on its way: all that is tried again at each look, or told by the time it takes. */
function isAtRest({ tenant, plan: { causes, waits }, outcome, observed }: Omit<StatusInput, 'sessions'>): boolean {
  const open = [...causes, ...waits, ...outcome.refusals, ...outcome.waits];
  return open.length === 0 && (tenant.spec.suspend || observed.every(({ ready }) => ready));
}

function runsOf({ spec, status }: CopilotTenant, { cronJob, jobs, pods }: CleanupWorld, now: number): CleanupRuns {
  if (spec.sessions.ttl === undefined) return { last: undefined, counted: [] };
  return cleanupRuns({ cronJob, jobs, pods, last: status?.lastCleanup, now });
}
