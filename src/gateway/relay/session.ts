/** A session that clients are attached to, or were until a moment ago. */
import { isObject } from '../../copilot/index.ts';
import { Asked } from './asked.ts';
import { isTracked, type WaitKind } from './events.ts';
import type { ClientAnswer, Declaration, RelayLimits, SessionClient } from './model.ts';
import type { RelayObserver } from './observer.ts';
import { ReplayRecord } from './replay.ts';
import { Turn } from './turn.ts';
import { Waits } from './waits.ts';

export interface SessionOptions {
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** Now, ms since the epoch. */
  readonly since: number;
  readonly setTimer: (ms: number, fn: () => void) => { cancel(): void };
  /** Answers a request of the server. */
  readonly answer: (id: number | string, answer: ClientAnswer) => void;
  /** Answers an event in place of the clients. */
  readonly deny: (requestId: string, kind: WaitKind) => void;
  /** Nobody has been attached for a while, and the server has nothing to do. */
  readonly onUnused: () => void;
  /** The server says that it unloads it. */
  readonly onShutdown: () => void;
}

/** What the relay knows of one session. It is on one server. */
export class Session {
  readonly id: string;
  /** Since when it is known, ms since the epoch. */
  readonly since: number;
  readonly turn: Turn<SessionClient>;
  readonly asked: Asked;
  readonly replay = new ReplayRecord();
  /** How often the server loaded it: an answer belongs to the load before its request. */
  loads = 0;
  /** Whether the server has it on disk: it is there from the first turn on. */
  hadTurn = false;
  /** Whether the server certainly has it on disk, unless it was deleted: what is written in the first moments may be lost. */
  isDurable = false;
  /** Bytes of its events. */
  eventBytes = 0;
  #isLoaded = false;
  #isClosedQuietly = false;
  readonly #options: SessionOptions;
  readonly #waits: Waits;
  /** In the order of attachment. */
  readonly #attached = new Map<SessionClient, Declaration>();
  /** The end of what is being done with it on the server. */
  #busy: Promise<unknown> = Promise.resolve();
  #unusedTimer: { cancel(): void } | undefined;
  #startTimer: { cancel(): void } | undefined;

  constructor(id: string, options: SessionOptions) {
    this.id = id;
    this.since = options.since;
    this.#options = options;
    const { limits, observer, setTimer, answer, deny } = options;
    const attached = () => this.#attached;
    const setDeadline = (fn: () => void) => setTimer(limits.permissionTimeoutMs, fn);
    const shared = { limit: limits.waits, maxBytes: limits.waitBytes, attached, setDeadline, observer };
    this.turn = new Turn(limits.heldSends, limits.heldSendBytes, observer);
    this.#waits = new Waits({ ...shared, deny });
    this.asked = new Asked({ ...shared, answer });
  }

  get clients(): Iterable<SessionClient> {
    return this.#attached.keys();
  }

  get clientCount(): number {
    return this.#attached.size;
  }

  /** What waits for an answer of its clients. */
  get openQuestions(): number {
    return this.#waits.size + this.asked.size;
  }

  /** What the attached clients declare. */
  get declarations(): readonly Declaration[] {
    return [...this.#attached.values()];
  }

  /** Whether the server has it in memory, for the connection that there is. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  loaded(): void {
    this.#isLoaded = true;
    this.loads += 1;
  }

  /** The server has it in memory no more, and so no turn of it. Returns whether a turn was cut. */
  unloaded(): boolean {
    const wasTaken = this.turn.isTaken;
    this.#isLoaded = false;
    this.turn.end('SessionClosed');
    return wasTaken;
  }

  /** The same, as a request has met it that is repeated after it was loaded again: it may be the prompt of a turn. */
  missed(): boolean {
    if (this.turn.isRunning) return this.unloaded();
    this.#isLoaded = false;
    return false;
  }

  /** Has the server unload it by `close`. Its clients are not told: what they call from now on waits until it is loaded again. */
  async closedQuietly(close: () => Promise<unknown>): Promise<void> {
    this.unloaded();
    this.#isClosedQuietly = true;
    try {
      await close();
    } finally {
      this.#isClosedQuietly = false;
    }
  }

  isAttached(client: SessionClient): boolean {
    return this.#attached.has(client);
  }

  /** What the client has declared; undefined: it is not attached. */
  declarationOf(client: SessionClient): Declaration | undefined {
    return this.#attached.get(client);
  }

  /** Attaches a client, or changes what it declared. Before the server has it: events may come before the answer. */
  attach(client: SessionClient, declaration: Declaration): void {
    this.#attached.set(client, declaration);
    this.watchUse();
  }

  /** Hands a client what waits for an answer, after it was told that it is attached. */
  offer(client: SessionClient): void {
    const declaration = this.#attached.get(client);
    if (declaration === undefined) return;
    this.asked.offer(client, declaration);
    this.#waits.offer(client, declaration);
  }

  /** Detaches a client and returns what it had declared; undefined: it was not attached. */
  detach(client: SessionClient): Declaration | undefined {
    const declaration = this.#attached.get(client);
    if (!this.#attached.delete(client)) return undefined;
    this.turn.leave(client);
    this.asked.leave(client);
    this.#waits.leave(client);
    this.watchUse();
    return declaration;
  }

  /** Does one thing after the other with it: attaching, loading, unloading. */
  async exclusively<T>(task: () => Promise<T>): Promise<T> {
    const before = this.#busy;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#busy = promise;
    await before;
    try {
      return await task();
    } finally {
      resolve();
    }
  }

  /** Passes an event to whom it is for. `parse` is called for the few that are looked into. */
  event(type: string, body: Buffer, parse: () => unknown): void {
    this.eventBytes += body.length;
    if (!isTracked(type)) return this.#deliver(type, body);
    const event = parse();
    const data = isObject(event) && isObject(event['data']) ? event['data'] : {};
    if (type === 'session.idle') return this.#idle(body);
    if (type === 'session.shutdown') return this.#shutdown(body);
    if (type === 'user.message' || type === 'assistant.turn_start') this.#started();
    const only = this.#waits.take(type, data, body);
    this.watchUse();
    if (only === undefined) this.#deliver(type, body);
    else if (only !== 'Nobody') only.deliver(body, type);
  }

  /** A prompt waits for another client's turn. A prompt that starts none, such as a command, must not block it for ever. */
  watchTurn(): void {
    if (!this.turn.isStuck) return;
    const { setTimer, limits } = this.#options;
    this.#startTimer ??= setTimer(limits.turnStartMs, () => {
      this.#startTimer = undefined;
      if (this.turn.isStuck) this.turn.idle();
    });
  }

  /** Begins or ends the time after which it is unused. */
  watchUse(): void {
    const isUsed = this.#attached.size > 0 || this.turn.isBusy || this.openQuestions > 0;
    if (isUsed) {
      this.#unusedTimer?.cancel();
      this.#unusedTimer = undefined;
      return;
    }
    const { setTimer, limits, onUnused } = this.#options;
    this.#unusedTimer ??= setTimer(limits.detachAfterMs, onUnused);
  }

  /** The server's process, or the connection, is gone. Returns whether a turn was cut. */
  lost(): boolean {
    const wasTaken = this.turn.isTaken;
    this.#clear('ServerLost');
    return wasTaken;
  }

  /** It is deleted or unloaded, and forgotten. */
  end(): void {
    this.#clear('SessionDeleted');
    this.#attached.clear();
  }

  #clear(why: 'ServerLost' | 'SessionDeleted'): void {
    this.#isLoaded = false;
    this.#waits.clear();
    this.asked.clear();
    this.turn.end(why);
    this.#stopTimers();
  }

  #started(): void {
    this.hadTurn = true;
    this.turn.started();
  }

  #idle(body: Buffer): void {
    const told = [...this.#attached.keys()].filter((client) => !this.turn.holds(client));
    for (const client of told) client.deliver(body, 'session.idle');
    this.isDurable ||= this.hadTurn;
    this.replay.finished();
    this.turn.idle();
    this.watchUse();
  }

  #shutdown(body: Buffer): void {
    if (this.#isClosedQuietly) return;
    this.#deliver('session.shutdown', body);
    this.#options.onShutdown();
  }

  #deliver(type: string, body: Buffer): void {
    for (const client of this.#attached.keys()) client.deliver(body, type);
  }

  #stopTimers(): void {
    this.#unusedTimer?.cancel();
    this.#startTimer?.cancel();
    this.#unusedTimer = undefined;
    this.#startTimer = undefined;
  }
}
