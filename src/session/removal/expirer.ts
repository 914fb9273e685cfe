/** Deletes sessions whose time to live has passed. */
import type { Logger } from 'pino';
import type { Deletion } from '../../copilot/session.ts';
import type { SessionSource } from '../../servers/survey/sessions.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { isConflict } from '../../kube/types/errors.ts';
import type { EventRecorder } from '../../kube/runtime/events.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import type { RecentWrites } from '../../kube/write/recent-writes.ts';
import { isLatest } from '../../kube/write/status.ts';
import { timestamp } from '../../kube/types/time.ts';
import { nameOf } from '../../kube/types/types.ts';
import { CopilotSession } from '../../resources/session.ts';
import { mayRemove } from '../../resources/session-removal.ts';
import { ttlOf } from '../../resources/session-ttl.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import { inUseDelay } from '../decisions/expiry.ts';
import { StoredLabel } from '../decisions/labels.ts';
import { isGivenUp, withTimeout } from '../../servers/call-timeout.ts';
import type { SweepRequester } from './sweep-requester.ts';
import type { SessionStates } from '../session-state.ts';
import type { SessionMetrics } from '../metrics.ts';
import { EventReason } from '../transitions.ts';
import type { ServerView } from '../model.ts';

export interface ExpirerOptions {
  readonly client: KubeClient;
  readonly source: Pick<SessionSource, 'deleteUnused' | 'refresh'>;
  readonly recent: RecentWrites;
  readonly states: SessionStates;
  readonly sweepRequester: SweepRequester;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly metrics: SessionMetrics;
  readonly clock: Clock;
}

/**
 * `Expired`: the data is deleted, and the resource stays to report it. `Removed`: the resource is deleted too. `Outdated`: the resource
 * has changed since it was read. `InUse`: a client uses the session again, or its server's clock is behind; try again in `retryMs`.
 * `Failed`: a server did not delete it.
 */
export type ExpiryOutcome =
  | { readonly state: 'Expired' | 'Removed' | 'Outdated' }
  | { readonly state: 'InUse'; readonly retryMs: number }
  | { readonly state: 'Failed'; readonly message: string };

/** Deletes expired sessions unless they are in use. */
export class Expirer {
  readonly #options: ExpirerOptions;

  constructor(options: ExpirerOptions) {
    this.#options = options;
  }

  /** Deletes the data on these servers, and then the resource of an Ephemeral session. */
  async expire(
    session: CopilotSession,
    servers: readonly ServerView[],
    expiresAt: number,
    { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
  ): Promise<ExpiryOutcome> {
    const { client, recent, source, states, recorder, metrics, clock } = this.#options;
    const { inUse } = states.of(session);
    // Kept as a time, because changes that the survey sees enqueue the session earlier.
    const retryMs = inUse?.expiresAt === expiresAt ? inUse.until - clock.monotonic() : 0;
    if (retryMs > 0) return { state: 'InUse', retryMs };
    // A deletion can't be undone, so a cache that is behind is not trusted: the ttl may be longer by now.
    if (!(await isLatest({ client, recent }, CopilotSession, session, signal))) return { state: 'Outdated' };
    const deletions = await this.#deleteData(session, servers, expiresAt, { signal, log });
    if (!Array.isArray(deletions)) return deletions;
    states.of(session).expiredAt = clock.now();
    for (const { key } of servers) source.refresh(key);
    const deleted = deletions.includes('Deleted');
    metrics.expired(deleted ? 'Deleted' : 'NotFound');
    const what = deleted ? 'its data was deleted' : 'it had no data to delete';
    const message = `Session ${sessionIdOf(session)} expired at ${timestamp(expiresAt)}; ${what}.`;
    recorder.event(session, 'Normal', EventReason.SessionExpired, message);
    await this.#requestSweeps(session, servers, deletions, { signal, log });
    if (session.spec.lifecycle === 'Persistent') return { state: 'Expired' };
    await this.#delete(session, signal);
    return { state: 'Removed' };
  }

  /** The result of each server, or why the data could not be deleted everywhere. */
  async #deleteData(
    session: CopilotSession,
    servers: readonly ServerView[],
    expiresAt: number,
    { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
  ): Promise<Deletion[] | ExpiryOutcome> {
    const { source, metrics, clock } = this.#options;
    const id = sessionIdOf(session);
    const deletions: Deletion[] = [];
    for (const { key, name, answer } of servers) {
      const facts = answer?.sessions.get(id);
      const owner = facts === undefined ? '' : facts.labels && (facts.labels[StoredLabel.owner] ?? '');
      const permission = mayRemove({ servers: [name], owner }, { kind: 'Session', owner: session.spec.owner }, name);
      if (!permission.allowed) return { state: 'Failed', message: `Server ${name}: ${permission.message}; retrying.` };
      try {
        // By the server's clock, which dated the activity and not the creation of the resource.
        const activeUntil = (facts?.lastActivityTime ?? Infinity) + (ttlOf(session.spec) ?? 0);
        const disuse = { modifiedTime: facts?.modifiedTime, expiresAt: Math.min(expiresAt, activeUntil) };
        const deletion = await withTimeout(clock, source.deleteUnused(key, id, disuse), signal);
        if (deletion === 'InUse') {
          source.refresh(key);
          return { state: 'InUse', retryMs: this.#backOff(session, expiresAt) };
        }
        deletions.push(deletion);
      } catch (error) {
        if (isGivenUp(error, signal)) throw error;
        metrics.expired('Failed');
        log.warn({ err: error, server: name }, 'failed to delete an expired session');
        return { state: 'Failed', message: `Server ${name} failed to delete the expired session; retrying.` };
      }
    }
    return deletions;
  }

  /** A failure is only logged: the next sweep of that volume removes what is left. */
  async #requestSweeps(
    session: CopilotSession,
    servers: readonly ServerView[],
    deletions: readonly Deletion[],
    { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
  ): Promise<void> {
    for (const [place, server] of servers.entries()) {
      try {
        await this.#options.sweepRequester.afterDeletion(session, server, deletions[place] === 'Deleted', signal);
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn({ err: error, server: server.name }, 'failed to request a sweep of the volume');
      }
    }
  }

  /** How long a session in use is left alone, in ms: longer each time. */
  #backOff(session: CopilotSession, expiresAt: number): number {
    const { states, clock } = this.#options;
    const state = states.of(session);
    const times = (state.inUse?.expiresAt === expiresAt ? state.inUse.times : 0) + 1;
    const delay = inUseDelay(times);
    state.inUse = { expiresAt, times, until: clock.monotonic() + delay };
    return delay;
  }

  async #delete(session: CopilotSession, signal: AbortSignal): Promise<void> {
    const { uid = '' } = session.metadata;
    try {
      await ignoreNotFound(this.#options.client.delete(CopilotSession, nameOf(session), { uid, signal }));
    } catch (error) {
      // Another resource has the name by now: this one is gone.
      if (!isConflict(error)) throw error;
    }
  }
}
