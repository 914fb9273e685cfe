/** A session that clients are attached to, or were until a moment ago. */
import type { TurnRule } from '../../../api/names.ts';
import type { ToldRules } from '../../model.ts';
import { Aliases } from './aliases.ts';
import { AnswersInTurn } from '../asking/answers-in-turn.ts';
import { AskingCalls } from '../asking/asking-calls.ts';
import { Attached } from '../setup/attached.ts';
import { CallOrder } from './call-order.ts';
import type { SessionCourse } from '../setup/client-state.ts';
import { lengthOf } from '../setup/declarations.ts';
import { Delivery, type KeptEvent } from './delivery.ts';
import { Expected } from '../asking/expected.ts';
import { InTurn } from '../in-turn.ts';
import { LoadState } from './load-state.ts';
import {
  type Declaration,
  type RelayLimits,
  type ServerAnswer,
  type SessionClient,
  type Withdrawal,
} from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import { Prompts, SETTLES_MS, openPromptOf } from '../turns/prompts.ts';
import { ReplayRecord } from '../setup/replay.ts';
import { SessionEvents } from './session-events.ts';
import { SessionQuestions, type SessionQuestionsOptions } from '../asking/session-questions.ts';
import { Timers } from '../timers.ts';
import { Trail } from '../journal/trail.ts';
import { Turn } from '../turns/turn.ts';
import type { MadeEvent } from '../turns/turn-end.ts';

export interface SessionOptions extends SessionQuestionsOptions {
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** Now, ms since the epoch. */
  readonly time: () => number;
  /** `spec.collaboration.turns` now; undefined: its CopilotSession does not say. */
  readonly turnRule: () => TurnRule | undefined;
  /** Nobody has been attached for a while, and the server has nothing to do. */
  readonly onUnused: () => void;
  /** The server says that it unloads it. */
  readonly onShutdown: () => void;
}

/** What a session takes in memory of which nothing else is kept, at least. */
const SESSION_BYTES = 1024;

/** What the relay knows of one session. It is on one server. */
export class Session {
  readonly id: string;
  /** Since when it is known, ms since the epoch. */
  readonly since: number;
  readonly turn: Turn<SessionClient>;
  readonly expected: Expected;
  readonly questions: SessionQuestions;
  readonly replay = new ReplayRecord();
  readonly prompts = new Prompts();
  readonly answersInTurn = new AnswersInTurn();
  readonly order = new CallOrder();
  readonly asking = new AskingCalls();
  readonly trail = new Trail();
  readonly aliases = new Aliases();
  readonly delivery: Delivery;
  readonly events: SessionEvents;
  readonly load = new LoadState();
  readonly attached = new Attached();
  /** Whether the server has it on disk: it is there from the first turn on. */
  hadTurn = false;
  /** Whether the server certainly has it on disk, unless it was deleted: what is written in the first moments may be lost. */
  isDurable = false;
  /** How often its clients have changed what it allows, here and at the homes before. */
  changes = 0;
  /** How often clients have aborted what it does. */
  aborts = 0;
  /** The server has loaded it for a client that knew no rules of the home before. */
  lacksRules = false;
  /** Prompts that were sent to the server and are not answered. */
  sending = 0;
  /** Calls of its clients that were sent to the server and are not answered, and prompts that wait for a turn of the server. */
  calls = 0;
  /** When a client used it last, or its last turn ended; monotonic ms. */
  lastUsed: number;
  #wasTaken = false;
  #isDeleted = false;
  readonly #options: SessionOptions;
  /** What is done with it on the server. */
  readonly #inTurn = new InTurn();
  readonly #timers: Timers<'Unused' | 'Start' | 'Settle' | 'Answers' | 'Reserved'>;

  constructor(id: string, options: SessionOptions) {
    this.id = id;
    this.since = options.time();
    this.lastUsed = options.now();
    this.#options = options;
    const { limits, observer, setTimer } = options;
    this.#timers = new Timers(setTimer);
    this.turn = new Turn(limits.heldSends, limits.heldSendBytes, observer, options.time);
    const hasInterest = (type: string): boolean => this.replay.hasInterest(type);
    const turnUser = () => (this.turnRule === undefined ? undefined : this.turn.holder?.client.user);
    this.expected = new Expected(this.attached, this.turn);
    const isExpected = (...names: readonly string[]): boolean => this.expected.has(...names);
    this.questions = new SessionQuestions(options, this.attached, this.#timers, hasInterest, turnUser, isExpected);
    this.delivery = new Delivery(() => this.attached.clients, limits.softQueueBytes);
    const { trail, aliases, delivery, prompts } = this;
    const { waits } = this.questions;
    this.events = new SessionEvents({
      id,
      trail,
      aliases,
      delivery,
      prompts,
      waits,
      onStarted: (by) => this.#started(by),
      onAborted: () => this.questions.aborted(),
      onIdle: (event) => this.#idle(event),
      onShutdown: (event) => this.#shutdown(event),
      onQuestion: () => this.watchUse(),
    });
  }

  get clients(): Iterable<SessionClient> {
    return this.attached.clients;
  }

  get clientCount(): number {
    return this.attached.size;
  }

  /** `spec.collaboration.turns` now; undefined: its CopilotSession does not say. */
  get turnRule(): TurnRule | undefined {
    return this.#options.turnRule();
  }

  /** Bytes that are kept of it, but for requests that are not answered: those are their clients'. */
  get keptBytes(): number {
    const declared = this.attached.loadedWith.reduce((sum, each) => sum + lengthOf(each), 0);
    const told = this.replay.length + this.prompts.length + this.delivery.bytes;
    return SESSION_BYTES + declared + this.events.heldBytes + this.questions.bytes + told;
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
    return this.load.isLost;
  }

  /** Whether something of it is under way, so that it must not be unloaded. Background tasks are known to the server only. */
  get isWorking(): boolean {
    // As in isNeeded: its clients may have left since, and nobody waits for what was over for them.
    const isNeeded = this.clientCount > 0 || this.turn.isTaken || this.prompts.areUnfinished;
    const isToGoOn = this.isLost && this.isCut && isNeeded;
    return this.turn.isBusy || this.calls > 0 || this.questions.size > 0 || isToGoOn;
  }

  /** The same, or it is being loaded or unloaded. */
  get isInUse(): boolean {
    return this.isWorking || this.#inTurn.isBusy;
  }

  /** Why a prompt is not wanted any more that came when it had been aborted so often; undefined: it is. */
  withdrawal(aborts: number): Withdrawal | undefined {
    if (this.aborts !== aborts) return 'Aborted';
    return this.#isDeleted ? 'SessionDeleted' : undefined;
  }

  /** Whether the server has it in memory, for the connection that there is. */
  get isLoaded(): boolean {
    return this.load.isLoaded;
  }

  loaded(): void {
    this.events.caughtUp([]);
    this.load.loaded();
    this.prompts.loaded();
    this.questions.loaded();
    this.used();
  }

  /** The server has it in memory no more, and so no turn of it. Returns whether a turn was cut. */
  unloaded(): boolean {
    const wasTaken = this.turn.isTaken;
    this.load.unloaded();
    this.turn.end('SessionClosed');
    this.prompts.closed();
    return wasTaken;
  }

  /** The same, as a request has met it that is repeated after it was loaded again: it may be the prompt of a turn. */
  missed(): boolean {
    if (this.turn.isRunning) return this.unloaded();
    this.load.unloaded();
    return false;
  }

  /** Has the server unload it by `close`. Its clients are not told: what they call from now on waits until it is loaded again. */
  async closedQuietly(close: () => Promise<unknown>): Promise<void> {
    this.unloaded();
    await this.load.closedQuietly(close);
  }

  /** A client uses it. */
  used(): void {
    this.lastUsed = this.#options.now();
  }

  /** The server has unloaded it for another one. It is not in use. */
  evicted(): void {
    this.load.evicted();
    this.events.drop();
  }

  /** Has the server unload it by `close`, which says whether it has, before its pod is replaced: it goes on in the next pod, as after a loss. */
  async moved(close: () => Promise<boolean>): Promise<void> {
    this.lost();
    await this.load.closedQuietly(async () => {
      if (await close()) this.prompts.forgetFinished();
    });
  }

  isAttached(client: SessionClient): boolean {
    return this.attached.has(client);
  }

  /** Attaches a client, or changes what it declared. Before the server has it: events may come before the answer. */
  attach(client: SessionClient, declaration: Declaration): void {
    // It has missed the beginning of the turn, and gets the rest after it.
    if (!this.isAttached(client) && this.turn.isRunning) this.delivery.hold(client);
    const before = this.attached.declarationOf(client);
    if (before !== undefined) this.expected.restated(before);
    // The last one that left is not waited for any more, unless it was in this turn.
    if (this.clientCount === 0) for (const each of this.attached.loadedWith) this.expected.left(each);
    this.attached.set(client, declaration);
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

  /** Hands a client what waits for an answer, after it was told that it is attached, but for what it `had` before. */
  offer(client: SessionClient, had: readonly string[] = []): void {
    const declaration = this.attached.declarationOf(client);
    if (declaration !== undefined) this.questions.offer(client, declaration, had);
  }

  /** A turn goes on that began at another home, by this event, if that is known. `owner`: whose it is. */
  goesOn(owner: SessionClient | undefined, start: string | undefined): void {
    this.hadTurn = true;
    this.turn.goesOn(owner, start);
    this.expected.goesOn();
    this.watchUse();
  }

  /** What the client is in the middle of. */
  courseOf(client: SessionClient): SessionCourse {
    const open = this.prompts.openAt(this.now, this.turn.isRunning, this.#options.limits.turnStartMs);
    const prompts = open.filter(({ sender }) => sender?.client === client).map(openPromptOf);
    return { trail: this.trail.known, prompts, offered: this.questions.waits.offeredTo(client) };
  }

  /** Detaches a client and returns what it had declared; undefined: it was not attached. */
  detach(client: SessionClient): Declaration | undefined {
    const declaration = this.attached.remove(client);
    if (declaration === undefined) return undefined;
    this.expected.left(declaration);
    this.delivery.drop(client);
    this.turn.leave(client);
    this.questions.leave(client);
    this.watchUse();
    return declaration;
  }

  /** Does one thing after the other with it: attaching, loading, unloading. `gone`: whoever wants it is, so that it is not begun. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
  exclusively<T>(task: () => Promise<T>, gone: AbortSignal | undefined): Promise<T | undefined>;
  exclusively<T>(task: () => Promise<T>, gone?: AbortSignal): Promise<T | undefined> {
    return this.#inTurn.run(task, gone);
  }

  /** A prompt that starts no turn, such as a command, must not block for ever those that wait for its turn, or are refused because of it. */
  watchTurn(): void {
    const isStuck = (): boolean => this.turn.isStuck && (this.turn.heldCount > 0 || this.turnRule !== undefined);
    if (!isStuck() || !this.isLoaded) return;
    this.#timers.start('Start', this.#options.limits.turnStartMs, () => {
      if (isStuck()) this.turn.idle();
    });
  }

  /** Begins or ends the time after which it is unused. */
  watchUse(): void {
    const isUsed = this.attached.size > 0 || this.turn.isBusy || this.questions.size > 0;
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
    const startMs = this.isLoaded ? limits.turnStartMs : Infinity;
    this.load.lost(isSilent);
    this.events.lost();
    this.prompts.lost(now(), this.turn.isRunning, startMs);
    this.#wasTaken = this.turn.isTaken || this.prompts.areUnfinished;
    this.questions.lost();
    this.#timers.stopAll();
    this.questions.reserve();
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
    this.#isDeleted = answer.kind === 'Withdrawn' && answer.why === 'SessionDeleted';
    this.#clear('SessionDeleted', answer);
    this.#timers.stopAll();
    for (const client of this.attached.clients) this.delivery.drop(client);
    this.attached.clear();
  }

  /** Its turn has ended without the server's own words; `told`: to its clients. */
  finish(told: MadeEvent | undefined): void {
    if (told !== undefined) return this.#idle({ ...told, id: undefined });
    this.prompts.finished(this.now);
    this.turn.idle();
  }

  #clear(why: 'ServerLost' | 'SessionDeleted', answer: ServerAnswer): void {
    this.load.ended();
    this.events.drop();
    this.questions.clear();
    this.turn.end(why, answer.kind === 'Withdrawn' ? answer.why : 'Lost');
    this.prompts.giveUp(answer);
    this.aliases.clear();
    this.#timers.stopAll();
  }

  #started(by: string | undefined): void {
    this.hadTurn = true;
    this.#timers.stop('Start');
    this.turn.started(by);
  }

  #idle(event: KeptEvent): void {
    const { now } = this.#options;
    this.used();
    this.questions.turnEnded();
    this.delivery.toAll(event, (client) => !this.turn.awaits(client));
    this.delivery.turnEnded();
    this.isDurable ||= this.hadTurn;
    this.prompts.finished(now());
    this.aliases.clear();
    this.#timers.start('Settle', SETTLES_MS, () => this.prompts.forgetSettled(now()));
    this.turn.idle();
    this.watchUse();
  }

  #shutdown(event: KeptEvent): void {
    if (this.load.isClosedQuietly) return;
    this.delivery.toAll(event);
    this.#options.onShutdown();
  }
}
