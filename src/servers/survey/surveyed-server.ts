/** The polls of one server, and operations on its sessions. */
import { isDeepStrictEqual } from 'node:util';
import {
  CopilotError,
  RefusedError,
  RpcError,
  UnreachableError,
  closeSession,
  deleteSession,
  getActivity,
  getSessionTimes,
  listSessions,
  messageOf,
  updateClientMetadata,
  type CallOptions,
  type ClientMetadata,
  type Deletion,
  type SessionActivity,
} from '../../copilot/index.ts';
import type { ConnectionEnd, ConnectionShare, SharedClient } from '../connection-share.ts';
import type { RegistryContext } from '../registry.ts';
import { jittered } from '../retry.ts';
import { Schedule } from '../schedule.ts';
import type { Server, ServerUpdate } from '../server.ts';
import { useOf } from './disuse.ts';
import { mayEnd, type GuardedServer, type Guards } from './guards.ts';
import { SessionCache } from './session-cache.ts';
import { poll, type PollResult } from './poll.ts';
import { type Disuse, HeldElsewhereError, type Limitation, type ServerSessions } from './sessions.ts';

/** What the servers of one survey share. */
export interface SurveyContext extends RegistryContext {
  readonly labelKeys: readonly string[];
  /** Has the guard of a server grant what ends a session; undefined: servers with guards refuse that. */
  readonly guards: Guards | undefined;
  /** Throws unless this process may change sessions now. */
  readonly writeGate: () => void;
  /** Least time between the starts of two polls of a server, in ms; a quarter of it while journals are left to be read. */
  readonly minGapMs: () => number;
  /** Called with the ids that changed, all of them when the server stops answering or answers again. */
  readonly onChange: (key: string, sessionIds: readonly string[]) => void;
  /** Called with the first failure after a success, unless another user of the connection caused it. */
  readonly onFailure: (key: string, failure: Error) => void;
  /** Called with what the server can't do, when that changes. */
  readonly onLimitations: (key: string, limitations: readonly Limitation[]) => void;
  /** Called with the duration of each complete poll, ms. */
  readonly observePoll: (ms: number) => void;
}

/** From one poll to the next without a hint. */
const INTERVAL_MS = 30_000;
/**
 * From the first failure to the one at which the last answer is discarded, in ms. A lost connection, or one that was closed
 * because of a single journal, is usually back before, and would otherwise cost two writes of each session. It is less than the
 * time between two tries after an invalid answer, so that a single one is tolerated.
 */
const GRACE_MS = 25_000;
/** From one read of sizes to the next without a hint, so that they are right within about a minute. */
const SIZES_MS = 50_000;
/** From a hint to the poll: a turn sends a dozen hints at once. */
const HINT_DELAY_MS = 500;
/** From the poll after a hint to another one: the hint of a turn comes before its events are on the volume, and no other before its end. */
const FOLLOW_UP_MS = 5000;
/** Time for each call: most take a few ms, and a damaged journal of 500 MB took a server 3 s. */
const CALL: CallOptions = { timeoutMs: 10_000 };

/** The sessions of one server, polled over the shared connection. There is always either a poll under way or one timer. */
export class SurveyedServer {
  readonly #context: SurveyContext;
  readonly #server: Server;
  readonly #share: ConnectionShare;
  readonly #schedule: Schedule;
  readonly #cache: SessionCache;
  /** When the server's process started, ms since the epoch. */
  #startedAt: number;
  #answer: ServerSessions | undefined;
  /** Why the last poll failed; undefined if it succeeded. */
  #failure: Error | undefined;
  #limitations: readonly Limitation[] = [];
  #pollStartedAt = Number.NEGATIVE_INFINITY;
  /** When sizes were last read without a hint, monotonic ms. */
  #sizesAt: number;
  /** Ids of sessions that were deleted since the last poll started. */
  readonly #deleted = new Set<string>();
  /** A hint arrived, and the poll after it has not been followed by another. */
  #hinted = false;
  /** A hint arrived during a poll, which may have been too early. */
  #pollAgain = false;

  constructor(server: Server, startedAt: number, context: SurveyContext) {
    this.#server = server;
    this.#startedAt = startedAt;
    this.#context = context;
    this.#sizesAt = context.clock.monotonic();
    this.#cache = new SessionCache(startedAt);
    this.#share = server.connection.join({
      // A poll under way fails on its own.
      onEnd: (end) => this.#schedule.isBusy || this.#fail(end.error, end),
      // Only a hint, whatever it says: any client of the server could have caused it.
      onNotification: (method) => {
        if (method !== 'session.lifecycle') return;
        this.#cache.invalidateSizes();
        this.requestPoll();
      },
    });
    this.#schedule = new Schedule(context, {
      dialDelayMs: () => this.#share.dialDelayMs,
      onDue: () => void this.#poll(),
    });
    this.#schedule.next(0);
  }

  /** The latest complete answer; undefined after polls have failed for longer than the grace period. */
  get answer(): ServerSessions | undefined {
    return this.#answer;
  }

  /** What the server could not do in the latest poll that it answered. */
  get limitations(): readonly Limitation[] {
    return this.#limitations;
  }

  /** Takes over the server's changes. What is known of the sessions is kept: they are on the volume, not in the process. */
  update({ moved }: ServerUpdate): void {
    const { startedAt = this.#startedAt } = this.#server.target;
    const restarted = startedAt !== this.#startedAt;
    this.#startedAt = startedAt;
    this.#cache.startedAt = startedAt;
    if (moved) {
      this.#failure = undefined;
      this.#schedule.restart();
    } else if (restarted) {
      this.requestPoll();
    }
    // No session is loaded in the new process, which needs no poll.
    if (restarted && this.#answer !== undefined) this.#publish(this.#answer.at);
  }

  watch(sessionId: string): void {
    if (this.#cache.watch(sessionId)) this.requestPoll();
  }

  unwatch(sessionId: string): void {
    this.#cache.unwatch(sessionId);
  }

  /** Brings the next poll forward. Without a connection it does nothing: the next try is due anyway. */
  requestPoll(): void {
    this.#hinted = true;
    if (this.#schedule.isBusy) this.#pollAgain = true;
    else if (this.#share.opened !== undefined) this.#bringForward(HINT_DELAY_MS, this.#context.minGapMs());
  }

  async label(sessionId: string, labels: ClientMetadata): Promise<boolean> {
    // A grant would take the session away from the gateway.
    if (this.#server.target.guardOf !== undefined) return false;
    const stored = await updateClientMetadata(this.#clientForWrite(), sessionId, labels, CALL);
    if (stored) this.#cache.invalidateLabels();
    this.requestPoll();
    return stored;
  }

  async activity(sessionId: string): Promise<SessionActivity> {
    return getActivity(this.#openClient(), sessionId, CALL);
  }

  async isStored(sessionId: string): Promise<boolean> {
    return (await getSessionTimes(this.#openClient(), sessionId, CALL)) !== undefined;
  }

  async close(sessionId: string): Promise<void> {
    const guarded = this.#guarded;
    if (guarded !== undefined)
      await mayEnd(guarded.guards, this.#clientForWrite(), guarded, { sessionId, intent: 'close' }, CALL);
    await closeSession(this.#clientForWrite(), sessionId, CALL);
    this.requestPoll();
  }

  async deleteUnused(sessionId: string, disuse: Disuse): Promise<Deletion | 'InUse'> {
    const guarded = this.#guarded;
    const use = () => useOf(this.#openClient(), sessionId, disuse, this.#context.clock.now(), CALL);
    // Guards keep the epoch of each session that they were ever asked for.
    if (guarded !== undefined && !(await this.isStored(sessionId))) return 'NotFound';
    // Learned before the session is looked at: whoever is granted it from here on has a higher one.
    const after = await guarded?.guards.epochOf(this.#clientForWrite(), guarded, sessionId, CALL);
    const before = await use();
    if (before !== 'Unused') return before;
    if (guarded === undefined) return this.#delete(sessionId);
    const wanted = { sessionId, intent: 'delete', after } as const;
    try {
      if (!(await mayEnd(guarded.guards, this.#clientForWrite(), guarded, wanted, CALL))) return 'InUse';
    } catch (error) {
      if (error instanceof HeldElsewhereError) return 'InUse';
      throw error;
    }
    // Who had it already under the epoch that was learned may have used it until here, and nobody does any more.
    const now = await use();
    return now === 'Unused' ? this.#delete(sessionId) : now;
  }

  async delete(sessionId: string): Promise<Deletion> {
    const guarded = this.#guarded;
    if (guarded !== undefined)
      await mayEnd(guarded.guards, this.#clientForWrite(), guarded, { sessionId, intent: 'delete' }, CALL);
    return this.#delete(sessionId);
  }

  async #delete(sessionId: string): Promise<Deletion> {
    const connection = this.#clientForWrite();
    const started = this.#context.clock.monotonic();
    const deletion = await deleteSession(connection, sessionId, CALL);
    this.requestPoll();
    const spent = this.#context.clock.monotonic() - started;
    const left = await listSessions(connection, { timeoutMs: Math.max(1, CALL.timeoutMs - spent) });
    if (left.some((session) => session.sessionId === sessionId)) {
      throw new RefusedError(
        `${connection.address}: the server answered that session ${sessionId} was deleted (${deletion}), but still lists it`,
      );
    }
    // At once: a resource that is created again under the id must not observe the deleted session.
    this.#deleted.add(sessionId);
    this.#cache.remove(sessionId);
    if (this.#answer !== undefined) this.#publish(this.#answer.at);
    return deletion;
  }

  /** What its guard is asked with; undefined: it has none, or none can be asked. */
  get #guarded(): (GuardedServer & { readonly guards: Guards }) | undefined {
    const { guardOf, key, podUID } = this.#server.target;
    const { guards } = this.#context;
    return guardOf === undefined || guards === undefined ? undefined : { guardOf, key, podUID, guards };
  }

  /** Stops polling. */
  stop(): void {
    this.#schedule.stop();
  }

  // Right before each call and not once for several: what was checked before may have taken longer than the lease lasts.
  #clientForWrite(): SharedClient {
    this.#context.writeGate();
    return this.#openClient();
  }

  /** The open connection, for operations, which do not wait for one. */
  #openClient(): SharedClient {
    const { opened } = this.#share;
    if (opened !== undefined) return opened;
    const why = this.#failure?.message ?? 'it has not been reached yet';
    throw new UnreachableError(`${this.#server.key}: the server is not connected: ${why}`, {
      cause: this.#failure,
    });
  }

  /** Brings the next poll forward to `ms` from now, but not closer than `minGapMs` to the start of the last one. */
  #bringForward(ms: number, minGapMs: number): void {
    const now = this.#context.clock.monotonic();
    const at = Math.max(now + ms, this.#pollStartedAt + minGapMs);
    if (at < this.#schedule.dueAt) this.#schedule.next(at - now);
  }

  async #poll(): Promise<void> {
    const { clock, labelKeys, observePoll } = this.#context;
    const end = this.#schedule.begin();
    const started = clock.monotonic();
    this.#pollStartedAt = started;
    this.#pollAgain = false;
    this.#deleted.clear();
    if (started - this.#sizesAt >= SIZES_MS) {
      this.#cache.invalidateSizes();
      this.#sizesAt = started;
    }
    let client: SharedClient | undefined;
    try {
      client = this.#share.opened ?? (await this.#share.open(CALL));
      const result = await poll(this.#cache, {
        server: client,
        clock,
        labelKeys,
        options: CALL,
        deleted: this.#deleted,
      });
      if (!end()) return;
      observePoll(clock.monotonic() - started);
      this.#conclude(result);
    } catch (error) {
      if (!end()) return;
      this.#fail(error, client?.end);
      // After an error answer the connection is still good, and others use it. Last, because they may notify listeners.
      if (client !== undefined && !(error instanceof RpcError)) this.#share.drop(client, messageOf(error));
    }
  }

  #conclude({ at, more, limitations }: PollResult): void {
    const { clock, random, minGapMs } = this.#context;
    this.#schedule.succeeded();
    this.#failure = undefined;
    this.#schedule.next(Math.max(0, this.#pollStartedAt + jittered(INTERVAL_MS, random) - clock.monotonic()));
    if (more) this.#bringForward(0, minGapMs() / 4);
    if (this.#pollAgain) {
      this.#bringForward(HINT_DELAY_MS, minGapMs());
    } else if (this.#hinted) {
      this.#hinted = false;
      this.#bringForward(FOLLOW_UP_MS, minGapMs());
    }
    // Last, because a listener may change or remove this very server.
    this.#publish(at);
    this.#limit(limitations);
  }

  /** Notifies of a change in what the server can do, also for sessions that nothing is known of because of it. */
  #limit(limitations: readonly Limitation[]): void {
    if (isDeepStrictEqual(limitations, this.#limitations)) return;
    this.#limitations = limitations;
    this.#context.onLimitations(this.#server.key, limitations);
    this.#context.onChange(this.#server.key, this.#cache.watched);
  }

  #publish(at: number): void {
    const { onChange } = this.#context;
    const published = this.#cache.publish(at);
    if (published === undefined) return;
    const wasKnown = this.#answer !== undefined;
    this.#answer = published.answer;
    if (!wasKnown) onChange(this.#server.key, [...published.answer.sessions.keys()]);
    else if (published.changed.length > 0) onChange(this.#server.key, published.changed);
  }

  #fail(thrown: unknown, end?: ConnectionEnd): void {
    const { onChange, onFailure } = this.#context;
    const failure = thrown instanceof Error ? thrown : new Error(String(thrown));
    const reason = failure instanceof CopilotError ? failure.reason : 'ProtocolError';
    const isNew = this.#failure === undefined;
    this.#failure = failure;
    this.#schedule.next(this.#schedule.failed(reason, INTERVAL_MS));
    if (isNew && end?.isDoubtful !== true) onFailure(this.#server.key, failure);
    const lost = this.#answer;
    const isOver = lost === undefined || this.#schedule.failingMs >= GRACE_MS;
    if (isOver) this.#answer = undefined;
    if (isOver && lost !== undefined) onChange(this.#server.key, [...lost.sessions.keys()]);
    // Of the methods of a poll only the list is required. A server that does not answer has no limitation.
    if (isOver) this.#limit(failure instanceof RpcError ? [{ method: 'sessions.list', code: failure.code }] : []);
  }
}
