/** The one connection of the gateway to a server: dialled when it is needed, and again and again after it was lost. */
import {
  TimeoutError,
  UnreachableError,
  formatAnswer,
  formatError,
  setDeadline,
  type CopilotError,
  type Dial,
} from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import type { GatewayServer, ServerState } from '../../model.ts';
import { Calls, type Answered } from './calls.ts';
import type { ClientAnswer, RelayLimits, ServerAnswer } from '../model.ts';
import type { RelayObserver, ServerEnd } from '../observer.ts';
import { Openers } from './openers.ts';
import { Outage } from './outage.ts';
import { copied, lost, resultIn } from './server-answer.ts';
import { ServerAttempt } from './server-attempt.ts';
import type { ServerTakers } from './server-intake.ts';

export interface UpstreamOptions extends ServerTakers {
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** How connections are made; undefined: TCP. */
  readonly dial: Dial | undefined;
  /** Where the server is now; undefined: nowhere. */
  readonly locate: () => GatewayServer | undefined;
  /** Whether the server will not come back: nobody waits for it. */
  readonly isGone: () => boolean;
  /** Whether a session on it has something under way. */
  readonly isWorking: () => boolean;
  /** What was not read of the requests so far has been read. */
  readonly onDrained: () => void;
  /** An open connection was lost. Requests under way have been answered so. */
  readonly onLost: (error: CopilotError, why: ServerEnd) => void;
}

/**
 * One connection at a time. Requests are answered in any order, or `Lost` all at once. What comes while there is no connection waits until
 * the server was away for `failoverMs`; after that it fails with the next dial.
 */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #calls: Calls;
  /** What is dialled or connected to. */
  #attempt: ServerAttempt | undefined;
  /** Bytes of answers that the server has not read since it stopped reading. */
  #unreadAnswers = 0;
  readonly #outage: Outage;
  readonly #openers = new Openers();
  #redial: { cancel(): void } | undefined;
  #openedAt = 0;
  #lastPodUID: string | undefined;
  #losses = 0;
  #silences = 0;
  #isClosed = false;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#calls = new Calls(options.limits);
    this.#outage = new Outage(options.clock, options.limits);
  }

  get isOpen(): boolean {
    return this.#attempt?.isOpen === true;
  }

  /** UID of the pod that it is connected to, or is dialled; undefined: none. */
  get podUID(): string | undefined {
    return this.#attempt?.server.podUID;
  }

  /** The one that it was connected to last; undefined: never to any. */
  get lastPodUID(): string | undefined {
    return this.#lastPodUID;
  }

  /** How often an open connection was lost. */
  get losses(): number {
    return this.#losses;
  }

  /** Those of which the server may not know: it may still have the connection. */
  get silences(): number {
    return this.#silences;
  }

  /** When the dial began by which the last connection was made, monotonic ms. */
  get dialledAt(): number {
    return this.#openedAt;
  }

  /** Whether the last attempt to connect failed. */
  get hasFailed(): boolean {
    return this.#outage.hasFailed;
  }

  /** The same, and another one runs or is to follow: who wants the server need not begin one. */
  get isFailing(): boolean {
    return this.hasFailed && this.state === 'Dialling';
  }

  get state(): ServerState {
    if (this.isOpen) return 'Connected';
    return this.#attempt === undefined && this.#redial === undefined ? 'Disconnected' : 'Dialling';
  }

  /** Calls that were sent and not answered, or wait for the connection. */
  get callCount(): number {
    return this.#calls.size;
  }

  /** Whether the server reads as fast as this side writes: not while requests wait for a connection. `onDrained` follows. */
  get isWritable(): boolean {
    return !this.#isWaitedFor && (this.#attempt?.isWritable ?? true);
  }

  /**
   * Resolves when there is a connection, dialling first if need be.
   * @throws CopilotError if the server is gone, or away for too long, if too many wait for it, or when `gone` aborts
   */
  async opened(gone?: AbortSignal): Promise<void> {
    if (this.isOpen) return;
    if (this.#openers.size >= this.#options.limits.dialQueue) throw this.#full();
    const opened = this.#openers.wait(gone);
    if (this.#attempt === undefined) this.#connectSoon();
    await opened;
  }

  /** Sends a request, dialling first if need be. `answered` is called once, maybe at once. `gone`: that of a client, who waits for it. */
  request(method: string, params: object, answered: Answered, gone?: AbortSignal): void {
    if (this.isOpen) return this.#send(method, params, answered);
    if (!this.#calls.enqueue(method, params, answered, gone)) return answered(lost(this.#full(), false));
    if (this.#attempt === undefined) this.#connectSoon();
  }

  /** The same; if there is no answer after `ms`, it is as one that was lost. */
  requestWithin(ms: number, method: string, params: object, answered: Answered): void {
    let isOver = false;
    const finish: Answered = (answer) => {
      if (isOver) return;
      isOver = true;
      deadline.cancel();
      answered(answer);
    };
    const deadline = setDeadline(this.#options.clock, ms, () =>
      finish(lost(new TimeoutError(`${this.#name}: no answer to ${method} within ${ms} ms`), true)),
    );
    this.request(method, params, finish);
  }

  /**
   * A call of the gateway's own. Resolves with its result.
   * @throws RpcError if the server answers with an error, TimeoutError, or the error that ended the connection.
   */
  async call(method: string, params: object): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.requestWithin(this.#options.limits.callTimeoutMs, method, params, (answer) => {
      try {
        resolve(resultIn(this.#name, method, answer));
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }

  /** The same, with the answer as it is, for what may take long, such as a prompt of which hooks of clients decide. */
  async ask(method: string, params: object): Promise<ServerAnswer> {
    const { promise, resolve } = Promise.withResolvers<ServerAnswer>();
    this.requestWithin(this.#options.limits.attachTimeoutMs, method, params, (answer) => resolve(copied(answer)));
    return promise;
  }

  /** Answers a request of the server. */
  answer(id: number | string, answer: ClientAnswer): void {
    const { error } = 'error' in answer ? answer : { error: undefined };
    const body =
      error === undefined
        ? formatAnswer(id, (answer as { result: unknown }).result)
        : formatError(id, error.code, error.message);
    this.#write(body);
    if (this.#attempt?.isWritable === false) this.#unread(body.length);
  }

  /** Clients are paused while a server does not read, but it can ask on without end. */
  #unread(length: number): void {
    const { serverUnreadBytes } = this.#options.limits;
    this.#unreadAnswers += length;
    if (this.#unreadAnswers <= serverUnreadBytes) return;
    const what = `the server asks, and has not read more than ${serverUnreadBytes} bytes of answers`;
    this.#lose(new UnreachableError(`${this.#name}: ${what}`));
  }

  /** The server has unloaded the session. What it said of it, and was kept back, is told now. */
  releaseEvents(sessionId: string): void {
    this.#attempt?.intake.releaseEvents(sessionId);
  }

  /** The session is forgotten, or goes on elsewhere. What the server said of it, and was kept back, is not told. */
  dropEvents(sessionId: string): void {
    this.#attempt?.intake.dropEvents(sessionId);
  }

  /** The server may be another one now, or gone: a connection to the one before is closed. */
  relocate(): void {
    const { locate } = this.#options;
    const [before, now] = [this.#attempt?.server, locate()];
    if (before === undefined) return this.#retry();
    if (before.podUID === now?.podUID && before.host === now.host && before.port === now.port) return;
    this.#outage.relocated();
    this.#lose(new UnreachableError(`${this.#name}: the pod of the server was replaced or is gone`), 'Replaced');
  }

  /** Closes the connection; whoever waits for one goes to the next. */
  disconnect(): void {
    this.#lose(new UnreachableError(`${this.#name}: the server is replaced`), 'Closed');
  }

  /** Closes the connection, for good. */
  close(): void {
    this.#isClosed = true;
    this.#lose(new UnreachableError(`${this.#name}: the connection was closed by this side`), 'Closed');
  }

  get #isGone(): boolean {
    return this.#isClosed || this.#options.isGone();
  }

  get #isWaitedFor(): boolean {
    return this.#calls.hasQueued || this.#openers.size > 0;
  }

  /** Dials at once if anybody waits. */
  #retry(): void {
    if (!this.#isWaitedFor) return;
    this.#outage.relocated();
    this.#connectSoon();
  }

  get #name(): string {
    return this.#attempt?.name ?? 'server';
  }

  #full(): CopilotError {
    return new UnreachableError(
      `${this.#name}: as many requests, or bytes of them, as are allowed wait for the server already`,
    );
  }

  #send(method: string, params: object, answered: Answered): void {
    this.#write(this.#calls.send(method, params, answered));
  }

  #write(body: string): void {
    const sent = this.#attempt?.send(body);
    if (sent !== undefined) this.#options.observer.serverSent(sent);
  }

  /** Connects, but not again right after a failure: requests that come meanwhile wait for the next attempt. */
  #connectSoon(): void {
    const { locate } = this.#options;
    // Where there is nothing to dial, the change that brings it is told.
    const waitMs = this.#outage.hasFailed && locate() === undefined ? this.#outage.leftMs : this.#outage.waitMs;
    if (waitMs === 0 || this.#isGone) return this.#connect();
    this.#redial ??= this.#options.clock.setTimer(waitMs, () => this.#connect());
  }

  #connect(): void {
    const { clock, limits, observer, dial, locate, isWorking, onEvent, onMessage, piecesOf } = this.#options;
    // A timer for a later attempt would make a second connection beside this one.
    this.#stopRedial();
    const server = this.#isGone ? undefined : locate();
    if (server === undefined) return this.#lose(new UnreachableError('the tenant has no server that can be reached'));
    this.#openedAt = clock.monotonic();
    this.#attempt = new ServerAttempt({
      clock,
      limits,
      observer,
      dial,
      server,
      calls: this.#calls,
      onEvent,
      onMessage,
      piecesOf,
      isAwaited: () => this.#calls.size > 0 || isWorking(),
      request: (method, params, answered) => this.#send(method, params, answered),
      onOpen: () => this.#onOpen(),
      onDrained: () => this.#onDrained(),
      onLost: (error) => this.#lose(error),
    });
  }

  #onOpen(): void {
    this.#outage.ended();
    this.#lastPodUID = this.podUID;
    this.#options.observer.dialled('Connected');
    for (const body of this.#calls.release()) this.#write(body);
    this.#openers.opened();
    if (this.isWritable) this.#onDrained();
  }

  #stopRedial(): void {
    this.#redial?.cancel();
    this.#redial = undefined;
  }

  #lose(error: CopilotError, why: ServerEnd = error.reason): void {
    const { observer } = this.#options;
    const wasOpen = this.isOpen;
    if (wasOpen) {
      observer.disconnected(why);
      this.#losses += 1;
      if (why === 'Timeout') this.#silences += 1;
      this.#outage.lost();
    } else {
      if (this.#attempt !== undefined) observer.dialled(why);
      if (why !== 'Replaced') this.#outage.failed();
    }
    this.#stopRedial();
    const sent = this.#calls.loseSent();
    this.#attempt?.close();
    this.#attempt = undefined;
    this.#unreadAnswers = 0;
    // Sessions first: what an answer makes a client do must find them as they are.
    if (wasOpen) this.#options.onLost(error, why);
    for (const answered of sent) answered(lost(error, true));
    // Those have asked for another connection meanwhile who can do with it.
    if (this.#isGone || this.#outage.isOver) this.#giveUp(error);
    else if (this.#isWaitedFor && this.#attempt === undefined) this.#connectSoon();
    // Who waited for the connection goes on, and meets the next attempt.
    if (this.isWritable) this.#onDrained();
  }

  /** Nobody waits any longer. */
  #giveUp(error: CopilotError): void {
    this.#openers.gaveUp(error);
    for (const answered of this.#calls.loseQueued()) answered(lost(error, false));
  }

  #onDrained(): void {
    this.#unreadAnswers = 0;
    this.#options.onDrained();
  }
}
