/** The sessions of one server, and orders about them. */
import {
  CopilotError,
  RefusedError,
  RpcError,
  UnreachableError,
  closeSession,
  deleteSession,
  getActivity,
  getServerTime,
  getSessionTimes,
  listSessions,
  updateClientMetadata,
  type CallOptions,
  type ClientMetadata,
  type Deletion,
  type SessionActivity,
} from '../../copilot/index.ts';
import type { ConnectionShare, SharedClient } from '../connection.ts';
import type { RegistryContext } from '../registry.ts';
import { jittered } from '../retry.ts';
import { Schedule } from '../schedule.ts';
import type { Server, ServerUpdate } from '../server.ts';
import { SessionCache } from './session-cache.ts';
import { poll } from './poll.ts';
import type { Disuse, ServerSessions } from './sessions.ts';

/** What the servers of one survey share. */
export interface SurveyContext extends RegistryContext {
  readonly labelKeys: readonly string[];
  /** Least time between the starts of two polls of a server, in ms; a quarter of it while journals are left to be read. */
  readonly minGapMs: () => number;
  /** Given the ids that changed, all of them when the server stops answering, or does so again. */
  readonly onChange: (key: string, sessionIds: readonly string[]) => void;
  /** Given the reason why a server can't be asked, at the first failure after a success. */
  readonly onFailure: (key: string, failure: Error) => void;
  /** Given the time that each complete poll took. */
  readonly observePoll: (ms: number) => void;
}

/** From one poll to the next when nothing is heard. */
const INTERVAL_MS = 30_000;
/**
 * From the first failure to the one at which the last answer is given up, in ms: a lost connection, or one that was given up
 * because of a single journal, is there again before, and would otherwise cost two writes of each session. It is less than
 * the time between two tries at a server that answers wrongly, so that one wrong answer is forgiven and two are not.
 */
const GRACE_MS = 25_000;
/** From one reading of sizes to the next when nothing is heard, so that they are right within a minute or so. */
const SIZES_MS = 50_000;
/** From a hint to the poll: a turn gives a dozen hints at once. */
const HINT_DELAY_MS = 500;
/** From the poll after a hint to another one: a turn is told of before it is on the volume, and then nothing is told until it ends. */
const FOLLOW_UP_MS = 5000;
/** Each call has so long: most take a few ms, and a journal of 500 MB that is damaged took a server 3 s. */
const CALL: CallOptions = { timeoutMs: 10_000 };

/** The sessions of one server, asked for over the connection that it shares. There is always either a poll under way or one timer. */
export class SurveyedServer {
  readonly #context: SurveyContext;
  readonly #server: Server;
  readonly #share: ConnectionShare;
  readonly #schedule: Schedule;
  readonly #cache: SessionCache;
  /** When the server's process started, ms since the epoch. */
  #startedAt: number;
  #answer: ServerSessions | undefined;
  /** Why the server can't be asked; undefined while it can. */
  #failure: Error | undefined;
  #pollStartedAt = Number.NEGATIVE_INFINITY;
  /** When sizes were last asked for at rest, monotonic ms. */
  #sizesAt: number;
  /** Ids of sessions that were deleted since the last poll began. */
  readonly #deleted = new Set<string>();
  /** A hint came, and the poll after it has not been followed by another. */
  #hinted = false;
  /** A hint came while a poll went on, which may have asked too early. */
  #pollAgain = false;

  constructor(server: Server, startedAt: number, context: SurveyContext) {
    this.#server = server;
    this.#startedAt = startedAt;
    this.#context = context;
    this.#sizesAt = context.clock.monotonic();
    this.#cache = new SessionCache(startedAt);
    this.#share = server.connection.join({
      // A poll under way fails by itself.
      onEnd: ({ error }) => this.#schedule.isBusy || this.#fail(error),
      // Whatever it tells of is looked up: anybody who reaches the server could have made it up.
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

  /** The latest complete answer; undefined while the server can't be asked, but for a moment of grace. */
  get answer(): ServerSessions | undefined {
    return this.#answer;
  }

  /** The server has changed. What is known of the sessions stays: they are on the volume, not in the process. */
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
    // What ran in the former process does not run any more, and that needs no asking.
    if (restarted && this.#answer !== undefined) this.#publish(this.#answer.at);
  }

  watch(sessionId: string): void {
    if (this.#cache.watch(sessionId)) this.requestPoll();
  }

  unwatch(sessionId: string): void {
    this.#cache.unwatch(sessionId);
  }

  /** Asks soon, unless the server can't be asked: then the next try comes when it would have come. */
  requestPoll(): void {
    this.#hinted = true;
    if (this.#schedule.isBusy) this.#pollAgain = true;
    else if (this.#share.opened !== undefined) this.#bringForward(HINT_DELAY_MS, this.#context.minGapMs());
  }

  async label(sessionId: string, labels: ClientMetadata): Promise<boolean> {
    const stored = await updateClientMetadata(this.#openClient(), sessionId, labels, CALL);
    if (stored) this.#cache.invalidateLabels();
    this.requestPoll();
    return stored;
  }

  async activity(sessionId: string): Promise<SessionActivity> {
    return getActivity(this.#openClient(), sessionId, CALL);
  }

  async close(sessionId: string): Promise<void> {
    await closeSession(this.#openClient(), sessionId, CALL);
    this.requestPoll();
  }

  async deleteUnused(sessionId: string, { modifiedTime, expiresAt }: Disuse): Promise<Deletion | 'InUse'> {
    const connection = this.#openClient();
    const times = await getSessionTimes(connection, sessionId, CALL);
    if (times === undefined) return 'NotFound';
    if (Date.parse(times.modifiedTime) !== modifiedTime) return 'InUse';
    // Whichever clock is behind the other: with a short ttl a turn that has just ended would seem to be long ago.
    const now = Math.min(this.#context.clock.now(), await getServerTime(connection, CALL));
    if (now < expiresAt) return 'InUse';
    // Last, because the question wakes a loaded session.
    if ((await getActivity(connection, sessionId, CALL)) === 'Active') return 'InUse';
    return this.delete(sessionId);
  }

  async delete(sessionId: string): Promise<Deletion> {
    const connection = this.#openClient();
    const started = this.#context.clock.monotonic();
    const deletion = await deleteSession(connection, sessionId, CALL);
    this.requestPoll();
    const spent = this.#context.clock.monotonic() - started;
    const left = await listSessions(connection, { timeoutMs: Math.max(1, CALL.timeoutMs - spent) });
    if (left.some((session) => session.sessionId === sessionId)) {
      throw new RefusedError(
        `${connection.address}: the server said it had deleted session ${sessionId} (${deletion}) and still lists it`,
      );
    }
    // At once: a resource that is made again under the id must not be told of the session that was.
    this.#deleted.add(sessionId);
    this.#cache.remove(sessionId);
    if (this.#answer !== undefined) this.#publish(this.#answer.at);
    return deletion;
  }

  /** Stops asking. */
  stop(): void {
    this.#schedule.stop();
  }

  /** The connection, for somebody who can't wait until there is one. */
  #openClient(): SharedClient {
    const { opened } = this.#share;
    if (opened !== undefined) return opened;
    const why = this.#failure?.message ?? 'it was not reached yet';
    throw new UnreachableError(`${this.#server.key}: the server can't be asked at the moment: ${why}`, {
      cause: this.#failure,
    });
  }

  /** Brings the next poll forward, never behind when it is due anyway and never too near to the last one's start. */
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
      client = await this.#share.open(CALL);
      const { at, more } = await poll(this.#cache, {
        server: client,
        clock,
        labelKeys,
        options: CALL,
        deleted: this.#deleted,
      });
      if (!end()) return;
      observePoll(clock.monotonic() - started);
      this.#conclude(at, more);
    } catch (error) {
      if (end()) this.#fail(error, client);
    }
  }

  #conclude(at: number, more: boolean): void {
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
    // Last, because whoever is told may change or remove this very target.
    this.#publish(at);
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

  #fail(thrown: unknown, client?: SharedClient): void {
    const { onChange, onFailure } = this.#context;
    const failure = thrown instanceof Error ? thrown : new Error(String(thrown));
    const reason = failure instanceof CopilotError ? failure.reason : 'ProtocolError';
    const isNew = this.#failure === undefined;
    this.#failure = failure;
    this.#schedule.next(this.#schedule.failed(reason, INTERVAL_MS));
    if (isNew) onFailure(this.#server.key, failure);
    // An error in answer says nothing against the connection, which others use as well.
    if (client !== undefined && !(failure instanceof RpcError)) this.#share.drop(client, failure.message);
    const lost = this.#answer;
    if (lost === undefined || this.#schedule.failingMs < GRACE_MS) return;
    this.#answer = undefined;
    onChange(this.#server.key, [...lost.sessions.keys()]);
  }
}
