/** Removes the data of a deleted session: through the servers that run, by Jobs from the volumes of those that don't. */
import type { Logger } from 'pino';
import { RpcError } from '../../copilot/errors.ts';
import type { SessionActivity } from '../../copilot/session.ts';
import { HeldElsewhereError, type SessionSource } from '../../servers/survey/sessions.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { EventRecorder } from '../../kube/runtime/events.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { fromKey, keyOf } from '../../kube/types/types.ts';
import { serverName } from '../../resources/names.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { isSharedStorage, type CopilotTenant } from '../../resources/tenant.ts';
import { volumeFate } from '../decisions/after-tenant.ts';
import { onSeveralServers, onVolumeToo } from '../decisions/causes.ts';
import { keptCopy } from '../decisions/kept-copy.ts';
import { StoredLabel } from '../decisions/labels.ts';
import { READ_OWNER, limitationMessage, turnRunsMessage } from '../decisions/limitations.ts';
import { ownershipOf } from '../decisions/ownership.ts';
import { missingPermission } from '../../resources/permission.ts';
import { removalStep } from '../decisions/removal.ts';
import { mayRemove } from '../../resources/session-removal.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import { isGivenUp, withTimeout } from '../../servers/call-timeout.ts';
import type { JobProgress, RemovalJobs } from './removal-jobs.ts';
import type { SweepRequester } from './sweep-requester.ts';
import { copiesOf, distinctCopies, hasVolume, removalTargets, serversOf, sharedRemovalTargets } from '../servers.ts';
import { EventReason } from '../transitions.ts';
import type { SurveyWatches } from '../survey-watches.ts';
import { EMPTY_REMOVAL, mergedRemoval, type Removal, type ServerView } from '../model.ts';

export interface DataRemoverOptions {
  readonly source: Pick<
    SessionSource,
    'get' | 'refresh' | 'limitations' | 'activity' | 'isStored' | 'close' | 'delete'
  >;
  readonly jobs: RemovalJobs;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  readonly sweepRequester: SweepRequester;
  readonly watches: SurveyWatches;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly clock: Clock;
}

/** What an attempt runs with. */
interface Attempt {
  /** When the deletion was first reconciled, ms: an answer from before may lack a session that has just started. */
  readonly since: number;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** One attempt at a time; repeating one is harmless. */
export class DataRemover {
  readonly #options: DataRemoverOptions;

  constructor(options: DataRemoverOptions) {
    this.#options = options;
  }

  /** Removes the data from the server that has it, and from no other. Of several copies none is removed. */
  async remove(session: CopilotSession, tenant: CopilotTenant, attempt: Attempt): Promise<Removal> {
    const { watches } = this.#options;
    const { all, copies, servers } = this.#targets(session, tenant);
    const kept = isSharedStorage(tenant)
      ? undefined
      : keptCopy(all, copies, session.status?.server, (server) => hasVolume(this.#options.claims, server));
    if (kept !== undefined) {
      const cause = onVolumeToo(session, copies, kept);
      return { ...EMPTY_REMOVAL, pending: [cause.message], cause };
    }
    if (copies.length > 1) {
      const cause = onSeveralServers(
        session,
        copies.map(({ server }) => server.name),
      );
      return { ...EMPTY_REMOVAL, pending: [cause.message], cause };
    }
    // A process that has just started has not read the stored owner yet.
    watches.set(
      keyOf(session),
      sessionIdOf(session),
      servers.map(({ key }) => key),
    );
    const removals = await Promise.all(
      servers.map((server) => this.#removeFrom(server, servers.length === 1, session, tenant, attempt)),
    );
    // A server that has the session ends it itself; the guards say which one that is.
    const holder = all.find(({ key, answer }) => answer !== undefined && key === removals[0]?.heldBy);
    const done = holder === undefined ? removals : [await this.#removeFrom(holder, true, session, tenant, attempt)];
    const removal = mergedRemoval(done);
    // The others have listed it, too.
    if (isSharedStorage(tenant) && removal.deleted) for (const { key } of all) this.#options.source.refresh(key);
    return removal;
  }

  async #removeFrom(
    server: ServerView,
    alone: boolean,
    session: CopilotSession,
    tenant: CopilotTenant,
    { since, signal, log }: Attempt,
  ): Promise<Removal> {
    const { source } = this.#options;
    const { name, key, answer, volume } = server;
    const facts = answer?.sessions.get(sessionIdOf(session));
    if (
      answer !== undefined &&
      facts === undefined &&
      answer.at < since &&
      (await this.#isStoredNow(server, session, { signal, log }))
    ) {
      source.refresh(key);
      if ((source.get(key)?.at ?? since) < since) {
        return { ...EMPTY_REMOVAL, refreshing: true, pending: [`Waiting for the next answer of server ${name}.`] };
      }
    }
    if (facts === undefined && ownershipOf(session, undefined, answer !== undefined) === 'Another') {
      return { ...EMPTY_REMOVAL, ownedByAnother: true };
    }
    // Without data there is no owner; a Job reads it on the volume.
    const owner = facts === undefined ? '' : facts.labels && (facts.labels[StoredLabel.owner] ?? '');
    const claimant = { kind: 'Session', owner: session.spec.owner } as const;
    const { reason } = mayRemove({ servers: [name], owner }, claimant, name);
    if (reason === 'OwnedByAnother') return { ...EMPTY_REMOVAL, ownedByAnother: true };
    if (reason === 'OwnerUnread') {
      const message =
        limitationMessage(server, READ_OWNER) ?? `The owner of the data on server ${name} has not been read yet.`;
      return { ...EMPTY_REMOVAL, pending: [message] };
    }
    if (tenant.metadata.deletionTimestamp !== undefined) {
      const claim = await this.#options.jobs.claim(session.metadata.namespace ?? '', volume.claim, signal);
      // Nothing is left to do, nor to report as left behind.
      if (volumeFate(claim, tenant).reason === 'GoesWithVolume') return { ...EMPTY_REMOVAL, deleted: true };
    }
    const step = removalStep(server);
    switch (step.action) {
      case 'wait':
        return (await this.#hasVolume(server, signal)) ? { ...EMPTY_REMOVAL, pending: [step.message] } : EMPTY_REMOVAL;
      case 'job':
        // A Job on each of several volumes would remove every copy.
        return alone
          ? onVolume(volume.claim, await this.#removeByJob(session, tenant, volume.index, { since, signal }))
          : this.#notObserved(server, session, signal);
      case 'delete':
    }
    let deleted: boolean;
    try {
      deleted = await this.#deleteOn(server, alone, session, signal);
    } catch (error) {
      if (isGivenUp(error, signal)) throw error;
      if (error instanceof HeldElsewhereError) return heldElsewhere(error);
      // Without the server's own text, which its agent may have written.
      log.warn({ err: error, server: name }, 'failed to delete a session');
      const message = error instanceof TurnRunsError ? error.message : `Server ${name} failed to delete the session.`;
      return { ...EMPTY_REMOVAL, pending: [message] };
    }
    try {
      await this.#options.sweepRequester.afterDeletion(session, server, deleted, signal);
      return { ...EMPTY_REMOVAL, deleted };
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn({ err: error, server: name }, 'failed to request a sweep of the volume');
      const message = `The empty lock file of the session is on PersistentVolumeClaim ${volume.claim}: requesting a sweep of it failed.`;
      return { ...EMPTY_REMOVAL, deleted, unswept: [message], cause: missingPermission(error) };
    }
  }

  #removeByJob(
    session: CopilotSession,
    tenant: CopilotTenant,
    index: number,
    attempt: Pick<Attempt, 'since' | 'signal'>,
  ): Promise<JobProgress> {
    const isOnVolume = (other: CopilotSession, of: CopilotTenant) => {
      const [server, ...more] = this.#targets(other, of).servers;
      return server?.volume.index === index && more.length === 0 && removalStep(server).action === 'job';
    };
    return this.#options.jobs.ensure({ session, tenant, index, isOnVolume, ...attempt });
  }

  /** The servers that may have a session, those with its data, and those on which the data is removed. */
  #targets(session: CopilotSession, tenant: CopilotTenant) {
    const { source } = this.#options;
    const lastServer = session.status?.server;
    const known = serversOf(tenant, source, lastServer);
    // A tenant without servers may have retained the volume of its first one, and the session may be on it.
    const all = known.length > 0 ? known : serversOf(tenant, source, serverName(tenant.metadata.name, 0));
    const copies = distinctCopies(tenant, copiesOf(all, sessionIdOf(session)), lastServer);
    const servers = isSharedStorage(tenant)
      ? sharedRemovalTargets(tenant, all, copies)
      : removalTargets(all, copies, lastServer);
    return { all, copies, servers };
  }

  /** Nothing is removed from the volume of one of several servers that may have a session which was never seen on any. */
  async #notObserved(server: ServerView, { status }: CopilotSession, signal: AbortSignal): Promise<Removal> {
    // Observed before, and on no server.
    if (status?.phase !== undefined || !(await this.#hasVolume(server, signal))) return EMPTY_REMOVAL;
    const message = `The session was never observed: it may be on PersistentVolumeClaim ${server.volume.claim}, or on another one of the tenant.`;
    return { ...EMPTY_REMOVAL, leftBehind: [message] };
  }

  /**
   * Whether the server has a volume that may have data. The API server is asked only for what the cache lacks, since many sessions may
   * wait for one server.
   */
  async #hasVolume({ key, volume: { claim: name } }: ServerView, signal: AbortSignal): Promise<boolean> {
    const { claims, jobs } = this.#options;
    const { namespace } = fromKey(key);
    const cached = claims.get({ namespace, name });
    if (cached !== undefined && cached.metadata.deletionTimestamp === undefined) return true;
    return (await jobs.claim(namespace, name, signal)) !== undefined;
  }

  async #deleteOn(server: ServerView, alone: boolean, session: CopilotSession, signal: AbortSignal): Promise<boolean> {
    const { key, name } = server;
    const { source, clock, recorder } = this.#options;
    const id = sessionIdOf(session);
    const activity = await this.#activityNow(server, id, signal);
    // A session without a turn is only in the memory of its server. What a server that was killed has left of a deletion is not
    // listed any more: where the session was, it is deleted again.
    const wasHere = alone || session.status?.server === name;
    const isHere = server.answer?.sessions.has(id) === true || activity === 'Active' || activity === 'Loaded';
    if (!wasHere && !isHere) return false;
    if (activity === 'Active') {
      try {
        await withTimeout(clock, source.close(key, id), signal);
      } catch (error) {
        if (error instanceof RpcError) throw new TurnRunsError(turnRunsMessage(name, error.code), { cause: error });
        throw error;
      }
      const message = `Ended the turn that was running on server ${name}, because the CopilotSession is being deleted.`;
      recorder.event(session, 'Normal', EventReason.SessionClosed, message);
    }
    return (await withTimeout(clock, source.delete(key, id), signal)) === 'Deleted';
  }

  /** Whether the session has been stored since the last answer; then its owner and its server have to be observed first. */
  async #isStoredNow(
    { key, name }: ServerView,
    session: CopilotSession,
    { signal, log }: Pick<Attempt, 'signal' | 'log'>,
  ): Promise<boolean> {
    const { source, clock } = this.#options;
    try {
      return await withTimeout(clock, source.isStored(key, sessionIdOf(session)), signal);
    } catch (error) {
      if (signal.aborted) throw error;
      // The next answer tells, also when the server lacks the method or does not answer now.
      log.debug(
        { err: error, server: name },
        'failed to check whether a session is stored; waiting for the next answer',
      );
      return true;
    }
  }

  /** Asked now: the last answer may be half a minute old, and a server deletes a session in the middle of a turn without an error. */
  async #activityNow(
    { key, answer }: ServerView,
    id: string,
    signal: AbortSignal,
  ): Promise<SessionActivity | undefined> {
    const { source, clock } = this.#options;
    try {
      return await withTimeout(clock, source.activity(key, id), signal);
    } catch (error) {
      // A server version without this method must still delete.
      if (error instanceof RpcError) return answer?.sessions.get(id)?.activity;
      throw error;
    }
  }
}

/** The turn of a session runs on, so the session is not deleted yet. The message is ours. */
class TurnRunsError extends Error {
  override readonly name = 'TurnRunsError';
}

function heldElsewhere({ holder, why }: HeldElsewhereError): Removal {
  const { name } = fromKey(holder);
  const message = `Server ${name} has the session and has not closed it, so it is deleted through that server as soon as it answers, or elsewhere when its pod is gone: ${why}.`;
  return { ...EMPTY_REMOVAL, pending: [message], heldBy: holder };
}

function onVolume(name: string, progress: JobProgress): Removal {
  if (progress.state === 'Waiting') {
    return {
      ...EMPTY_REMOVAL,
      pending: [`PersistentVolumeClaim ${name}: ${progress.message}.`],
      cause: progress.cause,
      until: progress.until,
      refreshing: progress.refreshing,
    };
  }
  if (progress.state === 'Failed') {
    return { ...EMPTY_REMOVAL, leftBehind: [`PersistentVolumeClaim ${name}: ${progress.message}.`] };
  }
  return {
    ...EMPTY_REMOVAL,
    deleted: progress.state === 'Deleted',
    ownedByAnother: progress.state === 'OwnedByAnother',
  };
}
