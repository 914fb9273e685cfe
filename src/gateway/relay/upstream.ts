/** The one connection of the gateway to a server: dialled when it is needed, and again and again after it was lost. */
import {
  AuthFailedError,
  EventRuns,
  FrameConnection,
  ProtocolError,
  TimeoutError,
  UnreachableError,
  formatAnswer,
  formatError,
  messageOf,
  setDeadline,
  type CopilotError,
  type Dial,
  type EventHead,
  type EventRun,
  type RunTaker,
} from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { GatewayServer, ServerState } from '../model.ts';
import type { ClientAnswer, RelayLimits, ServerAnswer } from './model.ts';
import type { RelayObserver, ServerEnd } from './observer.ts';
import { Calls, type Answered } from './calls.ts';
import { eventIn, isPiece } from './events.ts';
import { HeldBack } from './held-back.ts';
import { maySayStop, saysStop } from './facts.ts';
import { Outage } from './outage.ts';
import { ClientGoneError, copied, isStopping, lost, mayBeStopping, resultIn } from './server-answer.ts';
import { takeFrame, takeOversize, type FrameTakers } from './server-frames.ts';
import { Silence } from './silence.ts';

export interface UpstreamOptions {
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
  /** An event of a session. The bytes are valid only during the call. */
  readonly onEvent: FrameTakers['onEvent'];
  /** Who takes pieces of events of the session, many at a time; undefined: each is an event like any other. */
  readonly piecesOf: (sessionId: string) => RunTaker | undefined;
  /** Any other message that is not an answer. */
  readonly onMessage: FrameTakers['onMessage'];
  /** What was not read of the requests so far has been read. */
  readonly onDrained: () => void;
  /** An open connection was lost. Requests under way have been answered so. */
  readonly onLost: (error: CopilotError, why: ServerEnd) => void;
}

/** As the SDKs say it: `connect` refuses what it does not know. */
const CONNECT = { supportedTaskKinds: ['agent', 'client', 'shell'] };

/** Who waits for the connection with more than one request. */
interface Opener {
  readonly resolve: () => void;
  readonly reject: (error: CopilotError) => void;
}

/**
 * One connection at a time. Requests are answered in any order, or `Lost` all at once. What comes while there is no connection waits until
 * the server was away for `failoverMs`; after that it fails with the next dial.
 */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #calls: Calls;
  readonly #takers: FrameTakers;
  #connection: FrameConnection | undefined;
  /** What is dialled or connected to. */
  #server: GatewayServer | undefined;
  /** Which attempt that is: a server is the same object at each. */
  #attempt: symbol | undefined;
  #isOpen = false;
  /** While it is open. */
  #silence: Silence | undefined;
  /** Bytes of answers that the server has not read since it stopped reading. */
  #unreadAnswers = 0;
  readonly #outage: Outage;
  readonly #openers = new Set<Opener>();
  #redial: { cancel(): void } | undefined;
  #openedAt = 0;
  #losses = 0;
  #silences = 0;
  #isClosed = false;
  /** What the server says while it may be about to stop. */
  readonly #heldBack: HeldBack;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#calls = new Calls(options.limits);
    const { onMessage } = options;
    this.#takers = {
      onEvent: (head, body) => this.#onEvent(head, body),
      onMessage,
      onAnswer: (id, answer) => this.#onAnswer(id, answer),
    };
    this.#outage = new Outage(options.clock, options.limits);
    this.#heldBack = new HeldBack({
      clock: options.clock,
      stopsMs: options.limits.stopsMs,
      maxBytes: options.limits.stopsBytes,
      event: (head, body) => this.#later(() => options.onEvent(head, body)),
      answer: (id, answer) => this.#later(() => this.#calls.take(id, answer)),
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
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

  get state(): ServerState {
    if (this.#isOpen) return 'Connected';
    return this.#server === undefined && this.#redial === undefined ? 'Disconnected' : 'Dialling';
  }

  /** Calls that were sent and not answered, or wait for the connection. */
  get callCount(): number {
    return this.#calls.size;
  }

  /** Whether the server reads as fast as this side writes: not while requests wait for a connection. `onDrained` follows. */
  get isWritable(): boolean {
    return !this.#isWaitedFor && (this.#connection?.isWritable ?? true);
  }

  /**
   * Resolves when there is a connection, dialling first if need be.
   * @throws CopilotError if the server is gone, or away for too long, if too many wait for it, or when `gone` aborts
   */
  async opened(gone?: AbortSignal): Promise<void> {
    if (this.#isOpen) return;
    if (this.#openers.size >= this.#options.limits.dialQueue) throw this.#full();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const opener = { resolve, reject };
    const leave = (): void => {
      this.#openers.delete(opener);
      reject(new ClientGoneError());
    };
    this.#openers.add(opener);
    gone?.addEventListener('abort', leave);
    if (this.#server === undefined) this.#connectSoon();
    try {
      await promise;
    } finally {
      gone?.removeEventListener('abort', leave);
    }
  }

  /** Sends a request, dialling first if need be. `answered` is called once, maybe at once. `gone`: that of a client, who waits for it. */
  request(method: string, params: object, answered: Answered, gone?: AbortSignal): void {
    if (this.#isOpen) return this.#send(method, params, answered);
    if (!this.#calls.enqueue(method, params, answered, gone)) return answered(lost(this.#full(), false));
    if (this.#server === undefined) this.#connectSoon();
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
    if (this.#connection?.isWritable === false) this.#unread(body.length);
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
    this.#heldBack.flush(sessionId);
  }

  /** The session is forgotten, or goes on elsewhere. What the server said of it, and was kept back, is not told. */
  dropEvents(sessionId: string): void {
    this.#heldBack.drop(sessionId);
  }

  /** The server may be another one now, or gone: a connection to the one before is closed. */
  relocate(): void {
    const { locate } = this.#options;
    const [before, now] = [this.#server, locate()];
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
    return this.#connection?.address ?? this.#server?.key ?? 'server';
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
    if (this.#connection === undefined) return;
    this.#options.observer.serverSent(this.#connection.send(body));
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
    const { clock, limits, locate } = this.#options;
    // A timer for a later attempt would make a second connection beside this one.
    this.#stopRedial();
    const server = this.#isGone ? undefined : locate();
    if (server === undefined) return this.#lose(new UnreachableError('the tenant has no server that can be reached'));
    this.#openedAt = clock.monotonic();
    const attempt = Symbol(server.key);
    this.#server = server;
    this.#attempt = attempt;
    const within = `within ${limits.dialTimeoutMs} ms`;
    const deadline = setDeadline(clock, limits.dialTimeoutMs, () =>
      this.#loseIf(attempt, new TimeoutError(`${this.#name}: the server did not answer "connect" ${within}`)),
    );
    void this.#open(server, attempt)
      .catch((error: unknown) => {
        this.#loseIf(attempt, new UnreachableError(`${server.key}: ${messageOf(error)}`, { cause: error }));
      })
      .finally(() => deadline.cancel());
  }

  /** Resolves when the connection is open, or is not wanted any more. */
  async #open(server: GatewayServer, attempt: symbol): Promise<void> {
    const token = await server.token();
    if (this.#attempt !== attempt) return;
    const { promise: connected, resolve: onConnected } = Promise.withResolvers<void>();
    const { promise: ended, resolve: onEnded } = Promise.withResolvers<void>();
    const { dial, limits } = this.#options;
    this.#connection = new FrameConnection({
      host: server.host,
      port: server.port,
      dial,
      maxFrameBytes: limits.serverFrameBytes,
      onConnected,
      runs: this.#runs(),
      onBody: (body) => this.#onBody(body),
      onOversize: (start, length) => this.#onOversize(start, length),
      onDrained: () => this.#onDrained(),
      onLost: (error) => {
        this.#loseIf(attempt, error);
        onEnded();
      },
    });
    await Promise.race([connected, ended]);
    if (this.#attempt !== attempt) return;
    await new Promise<void>((resolve) => {
      this.#send('connect', { token, ...CONNECT }, (answer) => {
        this.#connectAnswered(server, attempt, answer);
        resolve();
      });
    });
  }

  #connectAnswered(server: GatewayServer, attempt: symbol, answer: ServerAnswer): void {
    if (answer.kind !== 'Answer') return;
    if (answer.head.isError) {
      server.tokenRefused();
      return this.#loseIf(attempt, new AuthFailedError(`${this.#name}: the server refused the connection token`));
    }
    this.#isOpen = true;
    this.#silence = this.#watch(attempt);
    this.#outage.ended();
    this.#options.observer.dialled('Connected');
    for (const body of this.#calls.release()) this.#write(body);
    for (const { resolve } of this.#takeOpeners()) resolve();
    if (this.isWritable) this.#onDrained();
  }

  /** A path that is lost without a word ends no connection, and whoever waits for the server would do so for ever. */
  #watch(attempt: symbol): Silence {
    const { clock, limits, isWorking } = this.#options;
    return new Silence({
      timers: clock,
      silentMs: limits.silentMs,
      signs: () => this.#connection?.signs ?? 0,
      isAwaited: () => this.#calls.size > 0 || isWorking(),
      ask: () => this.#send('ping', {}, () => undefined),
      onSilent: () =>
        this.#loseIf(attempt, new TimeoutError(`${this.#name}: the server is silent, and does not answer "ping"`)),
    });
  }

  #stopRedial(): void {
    this.#redial?.cancel();
    this.#redial = undefined;
  }

  #loseIf(attempt: symbol, error: CopilotError): void {
    if (this.#attempt === attempt) this.#lose(error);
  }

  #lose(error: CopilotError, why: ServerEnd = error.reason): void {
    const { observer } = this.#options;
    const wasOpen = this.#isOpen;
    if (wasOpen) {
      observer.disconnected(why);
      this.#losses += 1;
      if (why === 'Timeout') this.#silences += 1;
      this.#outage.lost();
    } else {
      if (this.#server !== undefined) observer.dialled(why);
      if (why !== 'Replaced') this.#outage.failed();
    }
    this.#stopRedial();
    this.#heldBack.clear();
    const sent = this.#calls.loseSent();
    this.#connection?.close();
    this.#connection = undefined;
    this.#server = undefined;
    this.#attempt = undefined;
    this.#isOpen = false;
    this.#silence?.stop();
    this.#silence = undefined;
    this.#unreadAnswers = 0;
    // Sessions first: what an answer makes a client do must find them as they are.
    if (wasOpen) this.#options.onLost(error, why);
    for (const answered of sent) answered(lost(error, true));
    // Those have asked for another connection meanwhile who can do with it.
    if (this.#isGone || this.#outage.isOver) this.#giveUp(error);
    else if (this.#isWaitedFor && this.#server === undefined) this.#connectSoon();
    // Who waited for the connection goes on, and meets the next attempt.
    if (this.isWritable) this.#onDrained();
  }

  /** Nobody waits any longer. */
  #giveUp(error: CopilotError): void {
    for (const { reject } of this.#takeOpeners()) reject(error);
    for (const answered of this.#calls.loseQueued()) answered(lost(error, false));
  }

  #takeOpeners(): readonly Opener[] {
    const openers = [...this.#openers];
    this.#openers.clear();
    return openers;
  }

  #onDrained(): void {
    this.#unreadAnswers = 0;
    this.#options.onDrained();
  }

  #runs(): EventRuns {
    const { piecesOf, observer } = this.#options;
    let taker: RunTaker | undefined;
    const counted = {
      takeRun: (run: EventRun): void => {
        observer.serverReceived(run.bodyBytes, run.count);
        taker?.takeRun(run);
      },
    };
    const takerOf = (sessionId: string): RunTaker | undefined => {
      taker = this.#heldBack.keeps(sessionId) ? undefined : piecesOf(sessionId);
      return taker && counted;
    };
    return new EventRuns({ isPassed: isPiece, takerOf });
  }

  #onBody(body: Buffer): void {
    this.#options.observer.serverReceived(body.length, 1);
    takeFrame(body, this.#takers);
  }

  #onEvent(head: EventHead, body: Buffer): void {
    const { type } = head;
    const error = this.#isOpen && type === 'session.error' ? eventIn(body).event : undefined;
    if (error !== undefined && saysStop(type, error)) this.#stops();
    else if (!this.#heldBack.takeEvent(head, body, error !== undefined && maySayStop(type, error)))
      this.#options.onEvent(head, body);
  }

  /** Takes what came a while ago: what cannot be read ends the connection then, as it does when it comes. */
  #later(take: () => void): void {
    const attempt = this.#attempt;
    try {
      take();
    } catch (error) {
      const found = new ProtocolError(`${this.#name}: ${messageOf(error)}`, { cause: error });
      if (attempt !== undefined) this.#loseIf(attempt, found);
    }
  }

  #stops(): void {
    this.#lose(new UnreachableError(`${this.#name}: the server stops`));
  }

  /** A server that stops is lost already: the call that says so, and all others, are answered by the next one. */
  #onAnswer(id: number, answer: ServerAnswer): void {
    // An id that is not open is a server's mistake that harms nobody.
    if (!this.#calls.has(id)) return;
    if (this.#isOpen && isStopping(answer)) this.#stops();
    else if (this.#isOpen && mayBeStopping(answer)) this.#heldBack.takeAnswer(id, copied(answer));
    else this.#calls.take(id, answer);
  }

  #onOversize(start: Buffer, length: number): void {
    const { observer, limits } = this.#options;
    observer.serverOversize();
    takeOversize(start, length, limits.serverFrameBytes, this.#takers);
  }
}
