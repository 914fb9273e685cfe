/** A session that clients are attached to, or were until a moment ago. */
import type { EventRun } from '../../copilot/index.ts';
import type { ToldRules } from '../model.ts';
import { Aliases } from './aliases.ts';
import { AnswersInTurn } from './answers-in-turn.ts';
import { Asked } from './asked.ts';
import type { SessionCourse } from './client-state.ts';
import { lengthOf } from './declarations.ts';
import { Delivery, type KeptEvent } from './delivery.ts';
import { isOfProcess, isPiece, isTracked, type WaitKind } from './events.ts';
import { GivenAnswers } from './given-answers.ts';
import { InTurn } from './in-turn.ts';
import { notificationOf, type DurableEvent } from './journal-end.ts';
import {
  type ClientAnswer,
  type Declaration,
  type RelayLimits,
  type ServerAnswer,
  type SessionClient,
} from './model.ts';
import type { RelayObserver } from './observer.ts';
import { Prompts, SETTLES_MS, openPromptOf } from './prompts.ts';
import { ReplayRecord } from './replay.ts';
import { seenEvent } from './seen-event.ts';
import { Timers } from './timers.ts';
import { Trail } from './trail.ts';
import { Turn } from './turn.ts';
import type { MadeEvent } from './turn-end.ts';
import { Waits } from './waits.ts';

/** Ms in which the clients of a home that is gone come to the next one. */
const RESERVED_MS = 5000;

export interface SessionOptions {
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** Ms in which nobody can answer what it waits for, after which it is denied. Looked at when such a time begins. */
  readonly permissionTimeoutMs: () => number;
  /** Whether so many bytes more may be kept of the tenant. */
  readonly mayKeep: (bytes: number) => boolean;
  /** Now, ms since the epoch. */
  readonly since: number;
  /** Monotonic ms. */
  readonly now: () => number;
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

/** An event that waits; its bytes stay valid. */
interface HeldEvent {
  readonly type: string;
  readonly body: Buffer;
}

/** What a session takes in memory of which nothing else is kept, at least. */
const SESSION_BYTES = 1024;

/** What the relay knows of one session. It is on one server. */
export class Session {
  readonly id: string;
  /** Since when it is known, ms since the epoch. */
  readonly since: number;
  readonly turn: Turn<SessionClient>;
  readonly asked: Asked;
  readonly waits: Waits;
  readonly replay = new ReplayRecord();
  readonly prompts = new Prompts();
  readonly answers = new GivenAnswers();
  readonly answersInTurn = new AnswersInTurn();
  readonly trail = new Trail();
  readonly aliases = new Aliases();
  readonly delivery: Delivery;
  /** How often the server loaded it: an answer belongs to the load before its request. */
  loads = 0;
  /** How often the server was lost, one time after the other, while it loaded the session: that may be because of it. */
  lostLoads = 0;
  /** Whether the server has it on disk: it is there from the first turn on. */
  hadTurn = false;
  /** Whether the server certainly has it on disk, unless it was deleted: what is written in the first moments may be lost. */
  isDurable = false;
  /** How often its clients have changed what it allows, here and at the homes before. */
  changes = 0;
  /** The server has loaded it for a client that knew no rules of the home before. */
  lacksRules = false;
  /** Bytes of its events. */
  eventBytes = 0;
  /** Prompts that were sent to the server and are not answered. */
  sending = 0;
  /** Calls of its clients that were sent to the server and are not answered. */
  calls = 0;
  /** When a client used it last, or its last turn ended; monotonic ms. */
  lastUsed: number;
  #isLoaded = false;
  #isClosedQuietly = false;
  /** The first event of the turn that runs. */
  #turnStart: string | undefined;
  /** Events since the server was lost, until its clients have got those of the journal; undefined: they pass. */
  #heldEvents: HeldEvent[] | undefined;
  #isLost = false;
  #mayBeHeld = false;
  #isEvicted = false;
  #wasTaken = false;
  /** What the last client that left had declared, for a turn that goes on without one. */
  #left: Declaration | undefined;
  readonly #options: SessionOptions;
  /** In the order of attachment. */
  readonly #attached = new Map<SessionClient, Declaration>();
  /** What is done with it on the server. */
  readonly #inTurn = new InTurn();
  readonly #timers: Timers<'Unused' | 'Start' | 'Settle' | 'Answers' | 'Reserved'>;

  constructor(id: string, options: SessionOptions) {
    this.id = id;
    this.since = options.since;
    this.lastUsed = options.now();
    this.#options = options;
    const { limits, observer, permissionTimeoutMs, mayKeep, setTimer, answer, deny } = options;
    const attached = () => this.#attached;
    const setDeadline = (fn: () => void) => setTimer(permissionTimeoutMs(), fn);
    const shared = { limit: limits.waits, maxBytes: limits.waitBytes, attached, setDeadline, mayKeep, observer };
    this.turn = new Turn(limits.heldSends, limits.heldSendBytes, observer);
    this.waits = new Waits({ ...shared, deny });
    this.asked = new Asked({ ...shared, answer });
    this.delivery = new Delivery(() => this.#attached.keys(), limits.softQueueBytes);
    this.#timers = new Timers(setTimer);
  }

  get clients(): Iterable<SessionClient> {
    return this.#attached.keys();
  }

  get clientCount(): number {
    return this.#attached.size;
  }

  /** What waits for an answer of its clients. */
  get openQuestions(): number {
    return this.waits.size + this.asked.size;
  }

  /** Bytes that are kept of it, but for requests that are not answered: those are their clients'. */
  get keptBytes(): number {
    const declared = this.loadedWith.reduce((sum, each) => sum + lengthOf(each), 0);
    const held = (this.#heldEvents ?? []).reduce((sum, { body }) => sum + body.length, 0);
    const asked = this.waits.bytes + this.asked.bytes + this.answers.bytes;
    const told = this.replay.length + this.prompts.length + this.delivery.bytes;
    return SESSION_BYTES + declared + held + asked + told;
  }

  /** What the attached clients declare. */
  get declarations(): readonly Declaration[] {
    return [...this.#attached.values()];
  }

  /** The same, to load it with: without a client, what the last one had declared. */
  get loadedWith(): readonly Declaration[] {
    if (this.#attached.size > 0) return this.declarations;
    return this.#left === undefined ? [] : [this.#left];
  }

  /** Now, monotonic ms. */
  get now(): number {
    return this.#options.now();
  }

  /** Whether clients wait for the end of a turn that was cut when the server was lost. */
  get wasTaken(): boolean {
    return this.#wasTaken;
  }

  /** The same, or one has ended so lately that the journal may not have the end. */
  get isCut(): boolean {
    return this.#wasTaken || this.prompts.cut.length > 0;
  }

  /** Whether its server was lost, and it was neither restored nor given up since. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Whether the server may have it in memory still, for the connection that was lost: it has ended none. */
  get mayBeHeld(): boolean {
    return this.#isLost && this.#mayBeHeld;
  }

  /** Whether it was unloaded so that another session has its place: it is loaded again when it is used, and not before. */
  get isEvicted(): boolean {
    return this.#isEvicted;
  }

  /** Whether the server has it in memory, or will have it again now that it was lost. */
  get hasPlace(): boolean {
    return this.#isLoaded || this.#isLost;
  }

  /** Whether something of it is under way, so that it must not be unloaded. Background tasks are known to the server only. */
  get isWorking(): boolean {
    return this.turn.isBusy || this.calls > 0 || this.openQuestions > 0 || (this.#isLost && this.isCut);
  }

  /** The same, or it is being loaded or unloaded. */
  get isInUse(): boolean {
    return this.isWorking || this.#inTurn.isBusy;
  }

  /** Whether it has to be on a server: for its clients, or for a turn that goes on without them. */
  get isNeeded(): boolean {
    return this.#attached.size > 0 || this.turn.isTaken || this.prompts.areUnfinished;
  }

  /** The first event of the turn that runs; undefined: none runs, or it was not seen. */
  get turnStart(): string | undefined {
    return this.turn.isRunning ? this.#turnStart : undefined;
  }

  /** Whether the server has it in memory, for the connection that there is. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  loaded(): void {
    this.caughtUp([]);
    this.#isLoaded = true;
    this.#isLost = false;
    this.#isEvicted = false;
    this.used();
    this.loads += 1;
    this.lostLoads = 0;
  }

  /** The server has it in memory no more, and so no turn of it. Returns whether a turn was cut. */
  unloaded(): boolean {
    const wasTaken = this.turn.isTaken;
    this.#isLoaded = false;
    this.turn.end('SessionClosed');
    this.prompts.closed();
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
    await this.#quietly(close);
  }

  /** A client uses it. */
  used(): void {
    this.lastUsed = this.#options.now();
  }

  /** The server has unloaded it for another one. It is not in use. */
  evicted(): void {
    this.#isEvicted = true;
    this.#isLost = false;
    this.#heldEvents = undefined;
  }

  /** Whether a turn runs, or may, that is lost if the server stops now: one that waits for a permission goes on elsewhere. */
  get hasTurnToEnd(): boolean {
    return this.sending > 0 || (this.turn.isRunning && !this.#waitsForPermission);
  }

  /** Whether something is under way that another home could not go on with. */
  get isBusy(): boolean {
    return this.hasTurnToEnd || (!this.#waitsForPermission && (this.turn.isBusy || this.openQuestions > 0));
  }

  get #waitsForPermission(): boolean {
    return this.waits.isForPermissions && this.asked.size === 0;
  }

  /** Has the server unload it by `close`, before its pod is replaced: it goes on in the next pod, as after a loss. */
  async moved(close: () => Promise<unknown>): Promise<void> {
    this.lost();
    await this.#quietly(close);
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
    // It has missed the beginning of the turn, and gets the rest after it.
    if (!this.isAttached(client) && this.turn.isRunning) this.delivery.hold(client);
    this.#attached.set(client, declaration);
    this.watchUse();
  }

  /** That it was told these calls, as other replicas hear it. */
  told(calls: ToldRules['calls']): ToldRules {
    const { id: sessionId, changes } = this;
    return { sessionId, calls, isIncomplete: this.replay.overflowed, changes };
  }

  /** Whether it can take another prompt: of those of which the end is not known, so many are kept. */
  hasRoomFor(params: Readonly<Record<string, unknown>>): boolean {
    return this.prompts.hasRoomFor(params, this.now, this.turn.isRunning, this.#options.limits.turnStartMs);
  }

  /** The server has answered a call with this result, which may be an answer to what it had asked; undefined: it is about to get that. */
  answered(
    method: string,
    params: Readonly<Record<string, unknown>>,
    result?: () => Readonly<Record<string, unknown>>,
  ): void {
    if (!this.answers.keep({ method, params }, result, this.now)) return;
    const forget = (): void => {
      if (this.answers.forgetSettled(this.now)) this.#timers.start('Answers', SETTLES_MS, forget);
    };
    this.#timers.start('Answers', SETTLES_MS, forget);
  }

  /** Hands a client what waits for an answer, after it was told that it is attached, but for what it `had` before. */
  offer(client: SessionClient, had: readonly string[] = []): void {
    const declaration = this.#attached.get(client);
    if (declaration === undefined) return;
    this.asked.offer(client, declaration);
    this.waits.offer(client, declaration, had);
  }

  /** Clients of the home before come in a moment. After it, what waits for one of them goes to whoever can answer. */
  reserve(): void {
    this.#timers.start('Reserved', RESERVED_MS, () => this.waits.release());
  }

  /** A turn goes on that began at another home, by this event, if that is known. `owner`: whose it is. */
  goesOn(owner: SessionClient | undefined, start: string | undefined): void {
    if (!this.turn.isRunning) this.#turnStart = start;
    this.hadTurn = true;
    this.turn.goesOn(owner);
    this.watchUse();
  }

  /** What the client is in the middle of. */
  courseOf(client: SessionClient): SessionCourse {
    const open = this.prompts.openAt(this.now, this.turn.isRunning, this.#options.limits.turnStartMs);
    const prompts = open.filter(({ sender }) => sender?.client === client).map(openPromptOf);
    return { trail: this.trail.known, prompts, offered: this.waits.offeredTo(client) };
  }

  /** Detaches a client and returns what it had declared; undefined: it was not attached. */
  detach(client: SessionClient): Declaration | undefined {
    const declaration = this.#attached.get(client);
    if (!this.#attached.delete(client)) return undefined;
    this.#left = declaration;
    this.delivery.drop(client);
    this.turn.leave(client);
    this.asked.leave(client);
    this.waits.leave(client);
    this.watchUse();
    return declaration;
  }

  /** Does one thing after the other with it: attaching, loading, unloading. `gone`: whoever wants it is, so that it is not begun. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
  exclusively<T>(task: () => Promise<T>, gone: AbortSignal | undefined): Promise<T | undefined>;
  exclusively<T>(task: () => Promise<T>, gone?: AbortSignal): Promise<T | undefined> {
    return this.#inTurn.run(task, gone);
  }

  /** Passes an event to whom it is for. @throws ProtocolError if it cannot be read */
  event(type: string, body: Buffer): void {
    this.eventBytes += body.length;
    if (this.#heldEvents === undefined) return this.#take(type, body);
    if (isPiece(type)) return;
    // One that cannot be read is the server's fault now, and nobody's later.
    seenEvent(this.id, type, body);
    this.#heldEvents.push({ type, body: Buffer.from(body) });
  }

  /** Whether pieces of events pass unread. */
  get passesPieces(): boolean {
    return this.#heldEvents === undefined && this.aliases.isEmpty;
  }

  /** Passes pieces of events to all. */
  takeRun(run: EventRun): void {
    this.eventBytes += run.bodyBytes;
    this.delivery.piecesToAll(run);
  }

  /** Events wait from now on until {@link caughtUp}: they may have ids that clients do not know. */
  hold(): void {
    this.#heldEvents ??= [];
  }

  /**
   * Its clients get those of these events that they have not got, and then what came meanwhile. Returns whether that has the end of a turn, and
   * no begin of another one after it.
   */
  caughtUp(events: readonly DurableEvent[]): boolean {
    const held = this.#heldEvents ?? [];
    this.#heldEvents = undefined;
    for (const event of events) if (!isOfProcess(event.type)) this.#take(event.type, notificationOf(this.id, event));
    let hasEnded = false;
    for (const { type, body } of held) {
      this.#take(type, body);
      hasEnded = type === 'session.idle' || (hasEnded && type !== 'user.message' && type !== 'assistant.turn_start');
    }
    return hasEnded;
  }

  /** A prompt waits for another client's turn. A prompt that starts none, such as a command, must not block it for ever. */
  watchTurn(): void {
    if (!this.turn.isStuck || !this.#isLoaded) return;
    this.#timers.start('Start', this.#options.limits.turnStartMs, () => {
      if (this.turn.isStuck) this.turn.idle();
    });
  }

  /** Begins or ends the time after which it is unused. */
  watchUse(): void {
    const isUsed = this.#attached.size > 0 || this.turn.isBusy || this.openQuestions > 0;
    if (isUsed) this.#timers.stop('Unused');
    else this.#timers.start('Unused', this.#options.limits.detachAfterMs, this.#options.onUnused);
  }

  /**
   * The server's process, or the connection, is gone. What its clients wait for is kept, until it is loaded again or given up. `isSilent`: the
   * server may be there, and does not know of it.
   */
  lost(isSilent = false): void {
    const { now, limits } = this.#options;
    // While it is not loaded nothing can begin.
    const startMs = this.#isLoaded ? limits.turnStartMs : Infinity;
    this.#isLoaded = false;
    this.#isLost = true;
    this.#mayBeHeld = isSilent;
    this.#heldEvents = [];
    this.prompts.lost(now(), this.turn.isRunning, startMs);
    this.answers.forgetSettled(now());
    this.#wasTaken = this.turn.isTaken || this.prompts.areUnfinished;
    this.waits.suspend();
    this.asked.clear();
    this.#timers.stopAll();
    this.reserve();
  }

  /** Its server is lost, and nothing goes on. Who waits for an answer to a prompt gets this. Returns whether a turn was cut. */
  giveUp(answer: ServerAnswer): boolean {
    const wasTaken = this.#wasTaken;
    this.#clear('ServerLost', answer);
    this.watchUse();
    return wasTaken;
  }

  /** It is deleted or unloaded, and forgotten. Who waits for an answer to a prompt gets this. */
  end(answer: ServerAnswer): void {
    this.#clear('SessionDeleted', answer);
    this.#timers.stopAll();
    for (const client of this.#attached.keys()) this.delivery.drop(client);
    this.#attached.clear();
  }

  /** Its turn has ended without the server's own words; `told`: to its clients. */
  finish(told: MadeEvent | undefined): void {
    if (told !== undefined) return this.#idle({ ...told, id: undefined });
    this.prompts.finished(this.now);
    this.turn.idle();
  }

  async #quietly(close: () => Promise<unknown>): Promise<void> {
    this.#isClosedQuietly = true;
    try {
      await close();
    } finally {
      this.#isClosedQuietly = false;
    }
  }

  #clear(why: 'ServerLost' | 'SessionDeleted', answer: ServerAnswer): void {
    this.#isLoaded = false;
    this.#isLost = false;
    this.#heldEvents = undefined;
    this.waits.clear();
    this.asked.clear();
    this.turn.end(why);
    this.prompts.giveUp(answer);
    this.aliases.clear();
    this.#timers.stopAll();
  }

  #take(type: string, given: Buffer): void {
    const body = this.aliases.isEmpty ? given : this.aliases.applied(given);
    const { id, fact, data } = seenEvent(this.id, type, body);
    if (id !== undefined) {
      // The server tells it, and it is in the journal that was read just now.
      if (this.trail.has(id)) return;
      this.trail.add(id, fact);
    }
    const event = { type, body, id };
    if (type === 'session.idle') return this.#idle(event);
    if (type === 'session.shutdown') return this.#shutdown(event);
    if (type === 'user.message' || type === 'assistant.turn_start') this.#started(id);
    if (type === 'user.message' && typeof data['messageId'] === 'string') {
      this.prompts.seen(data['messageId'], this.trail.position);
    }
    if (!isTracked(type)) return this.delivery.toAll(event);
    const only = this.waits.take(type, data, body);
    this.watchUse();
    if (only === undefined) this.delivery.toAll(event);
    else if (only !== 'Nobody') this.delivery.to(only, event);
  }

  #started(id: string | undefined): void {
    this.hadTurn = true;
    if (!this.turn.isRunning) this.#turnStart = id;
    this.turn.started();
  }

  #idle(event: KeptEvent): void {
    const { now } = this.#options;
    this.used();
    this.delivery.toAll(event, (client) => !this.turn.holds(client));
    this.isDurable ||= this.hadTurn;
    this.prompts.finished(now());
    this.aliases.clear();
    this.#timers.start('Settle', SETTLES_MS, () => this.prompts.forgetSettled(now()));
    this.turn.idle();
    this.watchUse();
  }

  #shutdown(event: KeptEvent): void {
    if (this.#isClosedQuietly) return;
    this.delivery.toAll(event);
    this.#options.onShutdown();
  }
}
