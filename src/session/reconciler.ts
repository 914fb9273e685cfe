/** One reconcile of a session, in five steps: read, observe, decide, apply, report. */
import { SessionPhase, SessionReconcilingReason } from '../api/session-conditions.ts';
import { SESSION_DATA_FINALIZER } from '../api/names.ts';
import type { CopilotSessionStatus } from '../api/session.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import type { PersistentVolumeClaim } from '../kube/types/builtins.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock, Random } from '../kube/clock/clock.ts';
import type { ReconcileContext, Reconciler, Result } from '../kube/runtime/controller.ts';
import { addFinalizer, hasFinalizer, removeFinalizer } from '../kube/write/finalizer.ts';
import type { RecentWrites } from '../kube/write/recent-writes.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import { missingPermission } from '../resources/permission.ts';
import { holderOf } from '../resources/session-holder.ts';
import { BY_ID, idKey, sessionIdOf, tenantKeyOf } from '../resources/session-index.ts';
import { CopilotSession } from '../resources/session.ts';
import { isSharedStorage, isTenantPaused, type CopilotTenant } from '../resources/tenant.ts';
import { unavailability } from './decisions/availability.ts';
import {
  duplicateSessionId,
  onSeveralServers,
  onVolumeToo,
  ownedByAnother,
  tenantNotFound,
} from './decisions/causes.ts';
import { expiryOf } from './decisions/expiry.ts';
import { keptCopy } from './decisions/kept-copy.ts';
import { READ_OWNER, limited } from './decisions/limitations.ts';
import { lockStatus } from './decisions/lock.ts';
import { ownershipOf } from './decisions/ownership.ts';
import type { Labeller } from './labeller.ts';
import type { LockSource } from './locks.ts';
import type { Observation, ServerView, SessionCause, Unavailable, Work } from './model.ts';
import { planSession, type Plan } from './plan.ts';
import type { DataFinalizer } from './removal/data-finalizer.ts';
import type { Expirer } from './removal/expirer.ts';
import type { PlaceSource } from './places.ts';
import { candidatesOf, copiesOf, distinctCopies, hasVolume, locate, placeOf, serversOf } from './servers.ts';
import type { SessionStates } from './session-state.ts';
import type { StartupGrace } from './startup-grace.ts';
import { computeStatus, emptyStatus, unobservedStatus } from './status.ts';
import { FORBIDDEN_RETRY_MS, type StatusWriter } from './status-writer.ts';
import type { SurveyWatches } from './survey-watches.ts';
import { findTenant } from './tenant-lookup.ts';

export interface SessionReconcilerOptions {
  readonly client: KubeClient;
  /** With the indexes of resources/session-index.ts. */
  readonly sessions: ReadonlyStore<CopilotSession>;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  /** The volume claims of the tenants' servers. */
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  /** Our own writes of sessions, until the cache shows them. */
  readonly recent: RecentWrites;
  /** The sessions on the tenants' servers. */
  readonly source: SessionSource;
  readonly watches: SurveyWatches;
  readonly states: SessionStates;
  readonly startupGrace: StartupGrace;
  readonly statusWriter: StatusWriter;
  readonly expirer: Expirer;
  readonly labeller: Labeller;
  readonly finalizer: DataFinalizer;
  /** Undefined: there is no gateway that says it. */
  readonly locks: Pick<LockSource, 'get'> | undefined;
  /** Likewise. */
  readonly places: Pick<PlaceSource, 'get'> | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

// Every change enqueues the session; this catches what was not thought of. It costs no request.
const RESYNC_MS = 5 * 60_000;
const RESYNC_JITTER_MS = 60_000;
/** Until servers that were polled again have answered, in ms. */
const REFRESH_MS = 2_000;
/** Until the deletion of an expired session is tried again, in ms. */
const EXPIRE_RETRY_MS = 15_000;
/** Until the cache shows what has changed meanwhile, in ms. */
const OUTDATED_RETRY_MS = 200;

/** The outcome of what was applied. With a `result` the reconcile ends without a report. */
type Outcome =
  | { readonly result: Result }
  | {
      readonly result?: undefined;
      readonly phase: SessionPhase;
      readonly work?: Work;
      readonly delayMs?: number | undefined;
    };

export class SessionReconciler implements Reconciler {
  readonly #options: SessionReconcilerOptions;

  constructor(options: SessionReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const { watches, states } = this.#options;
    const session = this.#cached(request);
    if (session === undefined) {
      watches.forget(keyOf(request));
      states.forget(request);
      return;
    }
    try {
      return session.metadata.deletionTimestamp === undefined
        ? await this.#reconcileSession(session, context)
        : await this.#reconcileDeleted(session, context);
    } catch (error) {
      const cause = missingPermission(error);
      if (cause === undefined || session.metadata.deletionTimestamp !== undefined) throw error;
      context.log.warn({ err: error }, 'the operator lacks a permission');
      return this.#requeue(FORBIDDEN_RETRY_MS, await this.#reportCause(session, cause, context));
    }
  }

  /**
   * Called instead of `reconcile` while the tenants, the Jobs or the sessions of the namespace can't be listed. The cause is reported
   * and no more is done. A deleted session is reconciled all the same, because its finalizer has a deadline: it reads what it needs
   * itself, and repeating a deletion is harmless.
   */
  async reconcileForbidden(request: NamespacedName, why: Error, context: ReconcileContext): Promise<void> {
    const session = this.#cached(request);
    if (session === undefined) return;
    if (session.metadata.deletionTimestamp !== undefined) {
      await this.reconcile(request, context);
      return;
    }
    const cause = missingPermission(why);
    if (cause !== undefined) await this.#reportCause(session, cause, context);
  }

  async #reconcileSession(cached: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, tenants, watches, clock } = this.#options;
    const other = this.#otherHolder(cached);
    const session = await this.#ensureFinalizer(cached, other === undefined, context);
    if (session === undefined) return {};
    if (other !== undefined) return this.#reportNotHolding(session, duplicateSessionId(session, other), context);
    const tenant = await findTenant(session, tenants, client, context.signal);
    if (tenant === undefined || tenant.metadata.deletionTimestamp !== undefined) {
      watches.forget(keyOf(session));
      return this.#requeue(await this.#reportCause(session, tenantNotFound(session, tenant), context));
    }
    const observation = this.#observe(session, tenant, clock.now());
    const { ownership, unavailable, copies, kept } = observation;
    if (kept !== undefined) return this.#requeue(await this.#reportCause(session, kept, context));
    if (copies.length > 1)
      return this.#requeue(await this.#reportCause(session, onSeveralServers(session, copies), context));
    // The survey reads the labels within a moment, and that enqueues the session: until then nothing is reported, and nothing deleted.
    if (ownership === 'Unread' && unavailable === undefined) return this.#requeue();
    if (ownership === 'Another') {
      return this.#requeue(await this.#reportEmpty(session, ownedByAnother(session), context));
    }
    if (unavailable !== undefined) return this.#reportUnavailable(observation, unavailable, context);
    const plan = planSession(observation);
    const outcome = await this.#apply(observation, plan, context);
    if (outcome.result !== undefined) return outcome.result;
    const statusDelayMs = await this.#report(observation, plan, outcome, context);
    const labelDelayMs = await this.#label(observation, outcome.phase, context);
    return this.#requeue(outcome.delayMs, statusDelayMs, labelDelayMs);
  }

  async #reconcileDeleted(session: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, finalizer, watches } = this.#options;
    const finalized = hasFinalizer(session, SESSION_DATA_FINALIZER);
    const deletesData = this.#otherHolder(session) === undefined && session.spec.deletionPolicy === 'Delete';
    // The survey watches it until its data is gone: whose the data is has to be known first.
    if (finalized && deletesData) return finalizer.finalize(session, context);
    watches.forget(keyOf(session));
    if (finalized) await removeFinalizer(client, CopilotSession, session, SESSION_DATA_FINALIZER, context.signal);
    return {};
  }

  #cached(request: NamespacedName): CopilotSession | undefined {
    const { sessions, recent } = this.#options;
    const cached = sessions.get(request);
    return cached === undefined ? undefined : recent.ofCached(CopilotSession, cached);
  }

  /** The resource that holds this one's id; undefined when this one holds it. */
  #otherHolder(session: CopilotSession): CopilotSession | undefined {
    const { sessions } = this.#options;
    const holder = holderOf(sessions.byIndex(BY_ID, idKey(tenantKeyOf(session), sessionIdOf(session))));
    return holder?.metadata.uid === session.metadata.uid ? undefined : holder;
  }

  /** Adds our finalizer, or removes it where the data stays. Returns the session, undefined when it is gone. */
  async #ensureFinalizer(
    session: CopilotSession,
    holdsId: boolean,
    { signal }: ReconcileContext,
  ): Promise<CopilotSession | undefined> {
    const { client, recent } = this.#options;
    const change = holdsId && session.spec.deletionPolicy === 'Delete' ? addFinalizer : removeFinalizer;
    const current = await change(client, CopilotSession, session, SESSION_DATA_FINALIZER, signal);
    if (current !== undefined && current !== session) recent.wrote(CopilotSession, current);
    return current;
  }

  /** Finds the session among the answers of its tenant's servers, and has the survey watch it there. */
  #observe(session: CopilotSession, tenant: CopilotTenant, now: number): Observation {
    const { source, claims, watches, states, startupGrace, places } = this.#options;
    const id = sessionIdOf(session);
    const lastServer = session.status?.server;
    const servers = serversOf(tenant, source, lastServer);
    const found = copiesOf(servers, id, states.of(session).expiredAt, now);
    const place = placeOf(tenant, servers, places?.get(session), lastServer);
    // Of several that list it, the one that has it knows what it does.
    const copies = distinctCopies(tenant, found, place ?? lastServer);
    const located = locate(copies, lastServer);
    const kept = isSharedStorage(tenant)
      ? undefined
      : keptCopy(servers, copies, lastServer, (server) => hasVolume(claims, server));
    const candidates = located ? [located.server] : candidatesOf(tenant, servers);
    const keys = candidates.map(({ key }) => key);
    watches.set(keyOf(session), id, keys);
    // Without a server, what is on a retained volume is unknown.
    const answered = isAnswered(tenant, servers);
    const ownership = ownershipOf(session, located?.facts, answered);
    const unread = ownership === 'Unread' && located !== undefined ? limited(located.server, READ_OWNER) : undefined;
    return {
      session,
      tenant,
      located,
      place,
      copies: copies.map(({ server }) => server.name),
      kept: kept && onVolumeToo(session, copies, kept),
      candidates,
      ownership,
      unavailable: unavailability({ tenant, servers, located, lastServer }) ?? unread,
      graceMs: startupGrace.remainingMs(session, servers),
      now,
    };
  }

  async #apply(
    { session, candidates, now }: Observation,
    { phase, expiry, expiresAt, dueAt }: Plan,
    { signal, log }: ReconcileContext,
  ): Promise<Outcome> {
    const { source, expirer } = this.#options;
    if (expiry === 'refresh') {
      for (const { key } of candidates) source.refresh(key);
      // Whether it is lost or has expired is decided when the servers have answered again.
      return phase === SessionPhase.Lost ? { result: this.#requeue(REFRESH_MS) } : { phase, delayMs: REFRESH_MS };
    }
    if (expiry === 'due' && expiresAt !== undefined) {
      const outcome = await expirer.expire(session, candidates, expiresAt, { signal, log });
      switch (outcome.state) {
        case 'Removed':
          return { result: {} };
        case 'Outdated':
          return { result: { requeueAfterMs: OUTDATED_RETRY_MS } };
        case 'Failed': {
          const work = { reason: SessionReconcilingReason.Expiring, message: outcome.message };
          return { phase, work, delayMs: EXPIRE_RETRY_MS };
        }
        case 'InUse':
          return { phase, delayMs: outcome.retryMs };
        case 'Expired':
          return { phase: SessionPhase.Expired };
      }
    }
    return { phase, delayMs: dueAt !== undefined && dueAt > now ? dueAt - now : undefined };
  }

  #report(
    { session, located, place, now }: Observation,
    { activity }: Plan,
    { phase, work }: Exclude<Outcome, { readonly result: Result }>,
    { signal }: ReconcileContext,
  ): Promise<number | undefined> {
    const status = computeStatus({
      session,
      phase,
      work,
      now,
      lastActivity: activity.reported,
      expiresAt: expiryOf(session, activity.reported),
      lock: this.#lockOf(session),
      ...(phase !== SessionPhase.Expired && { located, place }),
    });
    return this.#options.statusWriter.write(session, status, signal);
  }

  /** Runs after the report, which it must not delay. */
  async #label(
    { session, tenant, located }: Observation,
    phase: SessionPhase,
    context: ReconcileContext,
  ): Promise<number | undefined> {
    if (located === undefined || phase === SessionPhase.Expired || isTenantPaused(tenant)) return undefined;
    return this.#options.labeller.label(session, located, context);
  }

  async #reportUnavailable(
    { session, graceMs, now }: Observation,
    unavailable: Unavailable,
    { signal }: ReconcileContext,
  ): Promise<Result> {
    if (unavailable.transient && graceMs > 0) return this.#requeue(graceMs);
    const status = unobservedStatus({ session, unavailable, lock: this.#lockOf(session), now });
    return this.#requeue(await this.#options.statusWriter.write(session, status, signal));
  }

  async #reportNotHolding(session: CopilotSession, cause: SessionCause, context: ReconcileContext): Promise<Result> {
    this.#options.watches.forget(keyOf(session));
    return this.#requeue(await this.#reportEmpty(session, cause, context));
  }

  #reportEmpty(
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
    const status = unobservedStatus({ session, cause, lock: this.#lockOf(session), now: clock.now() });
    return statusWriter.write(session, status, signal);
  }

  #lockOf(session: CopilotSession): CopilotSessionStatus['lock'] | undefined {
    return lockStatus(session, this.#options.locks?.get(session));
  }

  /** When to reconcile next: after the shortest of these delays, and within the resync interval. */
  #requeue(...delays: (number | undefined)[]): Result {
    const resync = RESYNC_MS + RESYNC_JITTER_MS * this.#options.random();
    return { requeueAfterMs: Math.min(resync, ...delays.filter((delay) => delay !== undefined)) };
  }
}

/** Whether all that may have the session have answered: of servers that share a volume, one lists what there is. */
function isAnswered(tenant: CopilotTenant, servers: readonly ServerView[]): boolean {
  const answers = servers.map(({ answer }) => answer !== undefined);
  return isSharedStorage(tenant) ? answers.includes(true) : answers.length > 0 && !answers.includes(false);
}
