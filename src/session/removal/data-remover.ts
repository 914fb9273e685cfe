/** Removes the data of a deleted resource, one attempt at a time. */
import type { Logger } from 'pino';
import { RpcError } from '../../copilot/errors.ts';
import type { SessionActivity } from '../../copilot/session.ts';
import type { SessionSource } from '../../servers/survey/sessions.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { EventRecorder } from '../../kube/runtime/events.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { fromKey, keyOf } from '../../kube/types/types.ts';
import { serverIndex, serverName } from '../../resources/names.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { ownershipOf } from '../decisions/ownership.ts';
import { missingPermission } from '../../resources/permission.ts';
import { removalStep } from '../decisions/removal.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import { withTimeout } from '../call-timeout.ts';
import type { DeleteJobs, JobProgress } from './delete-jobs.ts';
import type { SweepRequester } from './sweep-requester.ts';
import { candidateServers, serversOf } from '../servers.ts';
import { EventReason } from '../transitions.ts';
import type { SurveyWatches } from '../survey-watches.ts';
import { NOTHING_TO_REMOVE, type Removal, type ServerView } from '../model.ts';

export interface DataRemoverOptions {
  readonly source: Pick<SessionSource, 'get' | 'activity' | 'close' | 'delete'>;
  readonly jobs: DeleteJobs;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  readonly sweepRequester: SweepRequester;
  readonly watches: SurveyWatches;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly clock: Clock;
}

export class DataRemover {
  readonly #options: DataRemoverOptions;

  constructor(options: DataRemoverOptions) {
    this.#options = options;
  }

  async remove(
    session: CopilotSession,
    tenant: CopilotTenant,
    context: { readonly signal: AbortSignal; readonly log: Logger },
  ): Promise<Removal> {
    const { source, watches } = this.#options;
    const lastServer = session.status?.server;
    const known = candidateServers(serversOf(tenant, source, lastServer), lastServer);
    // A tenant without servers may have kept the volume of its first one, and nobody looked whether the session is on it.
    const servers = known.length > 0 ? known : serversOf(tenant, source, serverName(tenant.metadata.name, 0));
    // A process that has just begun has not asked yet whose the data is.
    if (session.spec.owner !== undefined) {
      const keys = servers.map(({ key }) => key);
      watches.set(keyOf(session), sessionIdOf(session), keys);
    }
    const removals = await Promise.all(servers.map((server) => this.#removeFrom(server, session, tenant, context)));
    return {
      deleted: removals.some(({ deleted }) => deleted),
      pending: removals.flatMap(({ pending }) => pending),
      leftBehind: removals.flatMap(({ leftBehind }) => leftBehind),
      unswept: removals.flatMap(({ unswept }) => unswept),
      ownedByAnother: removals.some(({ ownedByAnother }) => ownedByAnother),
      cause: removals.find(({ cause }) => cause !== undefined)?.cause,
    };
  }

  /** Without the tenant nothing can be removed: neither servers nor what a Job needs is there. Says what that leaves. */
  async withoutTenant(session: CopilotSession, signal: AbortSignal): Promise<Removal> {
    const { namespace = '' } = session.metadata;
    const { phase, server } = session.status ?? {};
    // Looked for and not found, as long as there was a server to ask.
    if (phase !== undefined && server === undefined) return NOTHING_TO_REMOVE;
    const tenant = session.spec.tenantRef.name;
    const index = serverIndex(tenant, server ?? '') ?? 0;
    const claim = await this.#options.jobs.claim(namespace, serverName(tenant, index), signal);
    if (claim === undefined) return NOTHING_TO_REMOVE;
    const what = server === undefined ? 'it may have data' : 'its data is';
    return {
      ...NOTHING_TO_REMOVE,
      leftBehind: [
        `CopilotTenant ${tenant} is gone, and ${what} on its retained PersistentVolumeClaim ${claim.metadata.name}.`,
      ],
    };
  }

  async #removeFrom(
    server: ServerView,
    session: CopilotSession,
    tenant: CopilotTenant,
    { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
  ): Promise<Removal> {
    const { name, answer } = server;
    const ownership = ownershipOf(session, answer?.sessions.get(sessionIdOf(session)), answer !== undefined);
    if (ownership === 'Another') return { ...NOTHING_TO_REMOVE, ownedByAnother: true };
    if (ownership === 'Unread') {
      return { ...NOTHING_TO_REMOVE, pending: [`Whose the data on server ${name} is has not been read yet.`] };
    }
    const step = removalStep(server);
    switch (step.action) {
      case 'wait':
        return (await this.#hasVolume(server, signal))
          ? { ...NOTHING_TO_REMOVE, pending: [step.message] }
          : NOTHING_TO_REMOVE;
      case 'job':
        return onVolume(name, await this.#options.jobs.ensure(session, tenant, server.index, signal));
      case 'delete':
    }
    let deleted: boolean;
    try {
      deleted = await this.#deleteOn(server, session);
    } catch (error) {
      // Not told in its own words: a server says what its agent makes it say.
      log.warn({ err: error, server: name }, 'a server did not delete a session');
      return { ...NOTHING_TO_REMOVE, pending: [`Server ${name} did not delete the session.`] };
    }
    try {
      await this.#options.sweepRequester.afterDeletion(session, server, deleted, signal);
      return { ...NOTHING_TO_REMOVE, deleted };
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn({ err: error, server: name }, 'a sweep of the volume could not be asked for');
      const message = `The empty lock file of the session is on PersistentVolumeClaim ${name}, for the API server did not take the request to sweep it.`;
      return { ...NOTHING_TO_REMOVE, deleted, unswept: [message], cause: missingPermission(error) };
    }
  }

  /**
   * Whether there can be data at all: a volume that is gone took it along, and a server that has never started has none. Only what
   * the cache does not have is asked for, since many sessions may wait for one server.
   */
  async #hasVolume({ key, name }: ServerView, signal: AbortSignal): Promise<boolean> {
    const { claims, jobs } = this.#options;
    const { namespace } = fromKey(key);
    const cached = claims.get({ namespace, name });
    if (cached !== undefined && cached.metadata.deletionTimestamp === undefined) return true;
    return (await jobs.claim(namespace, name, signal)) !== undefined;
  }

  async #deleteOn(server: ServerView, session: CopilotSession): Promise<boolean> {
    const { key, name } = server;
    const { source, clock, recorder } = this.#options;
    const id = sessionIdOf(session);
    if ((await this.#activityNow(server, id)) === 'Active') {
      await withTimeout(clock, source.close(key, id));
      const message = `A turn was running on server ${name} and was ended, because the resource is deleted.`;
      recorder.event(session, 'Normal', EventReason.SessionClosed, message);
    }
    return (await withTimeout(clock, source.delete(key, id))) === 'Deleted';
  }

  /** Asked now: the last answer may be half a minute old, and a server deletes in the middle of a turn without a word. */
  async #activityNow({ key, answer }: ServerView, id: string): Promise<SessionActivity | undefined> {
    const { source, clock } = this.#options;
    try {
      return await withTimeout(clock, source.activity(key, id));
    } catch (error) {
      // A version of the server that lacks the method must still delete.
      if (error instanceof RpcError) return answer?.sessions.get(id)?.activity;
      throw error;
    }
  }
}

function onVolume(name: string, progress: JobProgress): Removal {
  if (progress.state === 'Waiting') {
    return { ...NOTHING_TO_REMOVE, pending: [`On the volume of ${name}: ${progress.message}.`], cause: progress.cause };
  }
  if (progress.state === 'Failed') {
    return { ...NOTHING_TO_REMOVE, leftBehind: [`On PersistentVolumeClaim ${name}: ${progress.message}.`] };
  }
  return { ...NOTHING_TO_REMOVE, deleted: progress.state === 'Done' };
}
