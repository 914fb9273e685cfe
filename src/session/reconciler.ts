/** One pass of a session: look where it is, decide, act on it, tell the status. */
import { SessionPhase, SessionReconcilingReason, SessionStalledReason } from '../api/session-conditions.ts';
import { SESSION_DATA_FINALIZER } from '../api/names.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock, Random } from '../kube/clock/clock.ts';
import type { ReconcileContext, Reconciler, Result } from '../kube/runtime/controller.ts';
import { addFinalizer, hasFinalizer, removeFinalizer } from '../kube/write/finalizer.ts';
import type { RecentWrites } from '../kube/write/recent-writes.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import { holderOf } from '../resources/session-holder.ts';
import { CopilotSession } from '../resources/session.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { unavailability } from './decisions/availability.ts';
import { ownershipOf, ownedByAnother } from './decisions/ownership.ts';
import { activityOf, deletionDueOf, expiryDecision, expiryOf, wasCleanedUp } from './decisions/expiry.ts';
import { phaseOf } from './decisions/phase.ts';
import { missingPermission } from '../resources/permission.ts';
import type { Expirer } from './removal/expirer.ts';
import type { DataFinalizer } from './removal/data-finalizer.ts';
import { BY_ID, idKey, sessionIdOf, tenantKeyOf } from '../resources/session-index.ts';
import type { Labeller } from './labeller.ts';
import type { SessionStates } from './session-state.ts';
import { locate, serversOf } from './servers.ts';
import { computeStatus, emptyStatus, isSuccessor, unobservedStatus } from './status.ts';
import { FORBIDDEN_RETRY_MS, type StatusWriter } from './status-writer.ts';
import { findTenant } from './tenant-lookup.ts';
import type { SurveyWatches } from './survey-watches.ts';
import type { Located, ServerView, SessionCause, Work } from './model.ts';

export interface SessionReconcilerOptions {
  readonly client: KubeClient;
  /** With the indexes of resources/session-index.ts. */
  readonly sessions: ReadonlyStore<CopilotSession>;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  /** Our own writes of sessions, until the cache shows them. */
  readonly recent: RecentWrites;
  readonly source: SessionSource;
  readonly watches: SurveyWatches;
  readonly states: SessionStates;
  readonly statusWriter: StatusWriter;
  readonly expirer: Expirer;
  readonly labeller: Labeller;
  readonly finalizer: DataFinalizer;
  readonly clock: Clock;
  readonly random: Random;
}

// Everything that matters wakes a session; this is for what nobody has thought of. It costs no request.
const RESYNC_MS = 5 * 60_000;
const RESYNC_JITTER_MS = 60_000;
/** Until servers that were asked to tell again have done so, in ms. */
const REFRESH_MS = 2_000;
/** Until a server that did not delete an expired session is told again, in ms. */
const EXPIRE_RETRY_MS = 15_000;
/** For how long a process that has just begun believes the last status of a session whose server it has not heard yet, in ms. */
const STARTUP_GRACE_MS = 60_000;
/** Until the cache shows what has changed meanwhile, in ms. */
const OUTDATED_RETRY_MS = 200;

export class SessionReconciler implements Reconciler {
  readonly #options: SessionReconcilerOptions;
  /** Keys of the servers that have answered this process, as long as that matters. */
  readonly #seenServers = new Set<string>();
  /** When this process first looked at a session, ms. */
  #startedAt: number | undefined;

  constructor(options: SessionReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const { sessions, recent, watches, states } = this.#options;
    const cached = sessions.get(request);
    if (cached === undefined) {
      watches.forget(keyOf(request));
      states.forget(request);
      return;
    }
    const session = recent.ofCached(CopilotSession, cached);
    try {
      return await this.#pass(session, context);
    } catch (error) {
      const cause = missingPermission(error);
      if (cause === undefined || session.metadata.deletionTimestamp !== undefined) throw error;
      context.log.warn({ err: error }, 'a right is missing');
      return this.#next(FORBIDDEN_RETRY_MS, await this.#reportCause(session, cause, context));
    }
  }

  /**
   * Its tenant or its Jobs can't be seen, or whether it is still there. It says why, and no more is done; but one that is being deleted
   * goes on, because its finalizer has a deadline: it reads what it needs, and what it does twice is harmless.
   */
  async reconcileForbidden(request: NamespacedName, why: Error, context: ReconcileContext): Promise<void> {
    const { sessions, recent } = this.#options;
    const cached = sessions.get(request);
    if (cached === undefined) return;
    if (cached.metadata.deletionTimestamp !== undefined) {
      await this.reconcile(request, context);
      return;
    }
    const session = recent.ofCached(CopilotSession, cached);
    const cause = missingPermission(why);
    if (cause !== undefined) await this.#reportCause(session, cause, context);
  }

  async #pass(session: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, finalizer, watches, recent } = this.#options;
    const holder = this.#holder(session);
    const holds = holder === undefined || holder.metadata.uid === session.metadata.uid;
    const { deletionTimestamp } = session.metadata;
    const bound = holds && session.spec.deletionPolicy === 'Delete';
    if (deletionTimestamp !== undefined) {
      const bears = hasFinalizer(session, SESSION_DATA_FINALIZER);
      // Watched until then: whose the data is has to be known first.
      if (bears && bound) return finalizer.finalize(session, context);
      watches.forget(keyOf(session));
      if (!bears) return {};
      await removeFinalizer(client, CopilotSession, session, SESSION_DATA_FINALIZER);
      return {};
    }
    const change = bound ? addFinalizer : removeFinalizer;
    const current = await change(client, CopilotSession, session, SESSION_DATA_FINALIZER);
    if (current === undefined) return {};
    if (current !== session) recent.wrote(CopilotSession, current);
    if (holds) return this.#converge(current, context);
    watches.forget(keyOf(session));
    return this.#next(await this.#reportNotHolding(current, duplicateOf(current, holder), context));
  }

  /** Whoever of the resources with this id is first. The session itself counts as it was read, not as the cache has it. */
  #holder(session: CopilotSession): CopilotSession | undefined {
    return holderOf(this.#options.sessions.byIndex(BY_ID, idKey(tenantKeyOf(session), sessionIdOf(session))));
  }

  async #converge(session: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, tenants, source, watches, states, clock } = this.#options;
    const tenant = await findTenant(session, tenants, client, context.signal);
    if (tenant === undefined || tenant.metadata.deletionTimestamp !== undefined) {
      watches.forget(keyOf(session));
      return this.#next(await this.#reportCause(session, tenantNotFound(session, tenant), context));
    }
    const now = clock.now();
    const lastServer = session.status?.server;
    const servers = serversOf(tenant, source, lastServer);
    const id = sessionIdOf(session);
    const located = locate(servers, id, lastServer, states.of(session).expiredAt);
    const concerned = located ? [located.server] : servers.filter(({ surplus }) => !surplus);
    watches.set(
      keyOf(session),
      id,
      concerned.map(({ key }) => key),
    );
    const graceMs = this.#startupGraceMs(session, servers, now);
    // Without a server nobody says what a volume that was kept has.
    const answered = servers.length > 0 && servers.every(({ answer }) => answer !== undefined);
    const ownership = ownershipOf(session, located?.facts, answered);
    // Its server tells within a moment, and that wakes the session: until then nothing is claimed, and nothing deleted.
    if (ownership === 'Unread') return this.#next();
    if (ownership === 'Another')
      return this.#next(await this.#reportNotHolding(session, ownedByAnother(session), context));
    const unavailable = unavailability({ tenant, servers, located, lastServer });
    if (unavailable !== undefined) {
      if (unavailable.transient && graceMs > 0) return this.#next(graceMs);
      const status = unobservedStatus({ session, unavailable, now });
      return this.#next(await this.#options.statusWriter.write(session, status, context.signal));
    }
    return this.#settle({ session, tenant, located, servers: concerned, now }, context);
  }

  /**
   * How long a silence is none yet, in ms: a process that has just begun has asked nobody so far, and to tell each of
   * hundreds of sessions so, and a moment later the opposite, would be two writes for nothing.
   */
  #startupGraceMs({ status }: CopilotSession, servers: readonly ServerView[], now: number): number {
    this.#startedAt ??= now;
    if (now - this.#startedAt > STARTUP_GRACE_MS) {
      this.#seenServers.clear();
      return 0;
    }
    for (const { key, answer } of servers) if (answer !== undefined) this.#seenServers.add(key);
    const known = status?.conditions === undefined || servers.some(({ key }) => this.#seenServers.has(key));
    return known ? 0 : this.#startedAt + STARTUP_GRACE_MS - now;
  }

  /** What becomes of a session whose server answers. */
  async #settle(
    { session, tenant, located, servers, now }: Observation,
    { signal, log }: ReconcileContext,
  ): Promise<Result> {
    const { source, expirer, labeller, statusWriter } = this.#options;
    const before = isSuccessor(session, located) ? undefined : session.status;
    const activity = activityOf(located?.facts, before, now);
    const expiresAt = expiryOf(session, activity.latest);
    const dueAt = deletionDueOf(session, expiresAt);
    let phase = phaseOf(session.status, located);
    let work: Work | undefined;
    const delays: (number | undefined)[] = [];
    const decision = expiryDecision({ session, phase, dueAt, servers, now });
    if (decision.action === 'refresh') {
      for (const { key } of servers) source.refresh(key);
      delays.push(REFRESH_MS);
      // Whether it is lost or its time was up: not before the servers have told again.
      if (phase === SessionPhase.Lost) return this.#next(...delays);
    } else if (decision.action === 'due' && expiresAt !== undefined) {
      const outcome = await expirer.expire(session, servers, expiresAt, { signal, log });
      if (outcome.state === 'Removed') return {};
      if (outcome.state === 'Outdated') return { requeueAfterMs: OUTDATED_RETRY_MS };
      if (outcome.state === 'Failed') {
        work = { reason: SessionReconcilingReason.Expiring, message: outcome.message };
        delays.push(EXPIRE_RETRY_MS);
      } else if (outcome.state === 'InUse') {
        delays.push(outcome.retryMs);
      } else {
        phase = SessionPhase.Expired;
      }
    } else if (phase === SessionPhase.Lost && wasCleanedUp(session, tenant, activity.latest, now)) {
      phase = SessionPhase.Expired;
    } else if (dueAt !== undefined && dueAt > now) {
      delays.push(dueAt - now);
    }
    const status = computeStatus({
      session,
      phase,
      work,
      now,
      lastActivity: activity.reported,
      expiresAt: expiryOf(session, activity.reported),
      ...(phase !== SessionPhase.Expired && { located }),
    });
    delays.push(await statusWriter.write(session, status, signal));
    if (located !== undefined && phase !== SessionPhase.Expired)
      delays.push(await labeller.label(session, located, log));
    return this.#next(...delays);
  }

  #reportNotHolding(
    session: CopilotSession,
    cause: SessionCause,
    { signal }: ReconcileContext,
  ): Promise<number | undefined> {
    const { clock, statusWriter } = this.#options;
    return statusWriter.write(session, emptyStatus({ session, cause, now: clock.now() }), signal);
  }

  #reportCause(
    session: CopilotSession,
    cause: SessionCause,
    { signal }: ReconcileContext,
  ): Promise<number | undefined> {
    const { clock, statusWriter } = this.#options;
    return statusWriter.write(session, unobservedStatus({ session, cause, now: clock.now() }), signal);
  }

  #next(...delays: (number | undefined)[]): Result {
    const resync = RESYNC_MS + RESYNC_JITTER_MS * this.#options.random();
    return { requeueAfterMs: Math.min(resync, ...delays.filter((delay) => delay !== undefined)) };
  }
}

interface Observation {
  readonly session: CopilotSession;
  readonly tenant: CopilotTenant;
  readonly located: Located | undefined;
  /** The one that holds it, or all that it may be on. */
  readonly servers: readonly ServerView[];
  readonly now: number;
}

function duplicateOf(session: CopilotSession, { metadata: { name } }: CopilotSession): SessionCause {
  const tenant = session.spec.tenantRef.name;
  return {
    reason: SessionStalledReason.DuplicateSessionId,
    message: `CopilotSession ${name} is older and holds the id ${sessionIdOf(session)} of CopilotTenant ${tenant}. Delete this one, or give it another id. To delete ${name} deletes the session's data too, unless its deletionPolicy is Retain or the data is another owner's.`,
  };
}

function tenantNotFound(session: CopilotSession, tenant: CopilotTenant | undefined): SessionCause {
  const { name } = session.spec.tenantRef;
  const { namespace = '' } = session.metadata;
  return {
    reason: SessionStalledReason.TenantNotFound,
    message:
      tenant === undefined
        ? `There is no CopilotTenant ${name} in namespace ${namespace}. Make it, or make the session anew with the right name.`
        : `CopilotTenant ${name} is being deleted. Make it again, or delete the session.`,
  };
}
