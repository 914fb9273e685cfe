/** The one connection of the gateway to a server: dialled when it is needed, and again after it was lost. */
import {
  AuthFailedError,
  FrameConnection,
  TimeoutError,
  UnreachableError,
  formatAnswer,
  formatError,
  isObject,
  messageOf,
  parseMessage,
  scanAnswer,
  scanEvent,
  setDeadline,
  type CopilotError,
  type Dial,
  type EventHead,
  type Message,
} from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { GatewayServer, ServerState } from '../model.ts';
import type { ClientAnswer, RelayLimits, ServerAnswer } from './model.ts';
import type { RelayObserver, ServerEnd } from './observer.ts';
import { Calls, type Answered } from './calls.ts';
import { answerOf, lost, resultOf } from './server-answer.ts';

export interface UpstreamOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** How connections are made; undefined: TCP. */
  readonly dial: Dial | undefined;
  /** Where the server is now; undefined: nowhere. */
  readonly locate: () => GatewayServer | undefined;
  /** An event of a session. The bytes are valid only during the call. */
  readonly onEvent: (head: EventHead, body: Buffer) => void;
  /** Any other message that is not an answer. */
  readonly onMessage: (message: Message & { readonly kind: 'request' | 'notification' }, body: Buffer) => void;
  /** What was not read of the requests so far has been read. */
  readonly onDrained: () => void;
  /** An open connection was lost. Requests under way have been answered so. */
  readonly onLost: (error: CopilotError) => void;
}

const INTERNAL_ERROR = -32603;
/** As the SDKs say it: `connect` refuses what it does not know. */
const CONNECT = { supportedTaskKinds: ['agent', 'client', 'shell'] };

/** One connection at a time. Requests are answered in any order, or `Lost` all at once. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #calls: Calls;
  #connection: FrameConnection | undefined;
  /** What is dialled or connected to. */
  #server: GatewayServer | undefined;
  /** Which attempt that is: a server is the same object at each. */
  #attempt: symbol | undefined;
  #isOpen = false;
  /** Bytes of answers that the server has not read since it stopped reading. */
  #unreadAnswers = 0;
  /** When the last attempt to connect failed, monotonic ms; undefined: the last one succeeded. */
  #failedAt: number | undefined;
  #redial: { cancel(): void } | undefined;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#calls = new Calls(options.limits);
  }

  get isOpen(): boolean {
    return this.#isOpen;
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
    return !this.#calls.hasQueued && (this.#connection?.isWritable ?? true);
  }

  /** Sends a request, dialling first if need be. `answered` is called once, maybe at once. */
  request(method: string, params: object, answered: Answered): void {
    if (this.#isOpen) return this.#send(method, params, answered);
    if (!this.#calls.enqueue(method, params, answered)) return answered(lost(this.#full(), false));
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
      if (answer.kind !== 'Answer') return reject(answer.kind === 'Lost' ? answer.error : new Error(answer.why));
      try {
        resolve(resultOf(this.#name, method, answer.body));
      } catch (error) {
        reject(error);
      }
    });
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

  /** The server may be another one now, or gone: a connection to the one before is closed. */
  relocate(): void {
    const { locate } = this.#options;
    const [before, now] = [this.#server, locate()];
    if (before === undefined || (before.podUID === now?.podUID && before.host === now.host && before.port === now.port))
      return;
    this.#lose(new UnreachableError(`${this.#name}: the pod of the server was replaced or is gone`), 'Replaced');
  }

  /** Closes the connection. */
  close(): void {
    this.#lose(new UnreachableError(`${this.#name}: the connection was closed by this side`), 'Closed');
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
    const { clock, limits } = this.#options;
    const sinceFailure = clock.monotonic() - (this.#failedAt ?? -Infinity);
    if (sinceFailure >= limits.redialAfterMs) return this.#connect();
    this.#redial ??= clock.setTimer(limits.redialAfterMs - sinceFailure, () => {
      this.#redial = undefined;
      this.#connect();
    });
  }

  #connect(): void {
    const { clock, limits, locate } = this.#options;
    const server = locate();
    if (server === undefined) return this.#lose(new UnreachableError('the tenant has no server that can be reached'));
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
    this.#failedAt = undefined;
    this.#options.observer.dialled('Connected');
    for (const body of this.#calls.release()) this.#write(body);
    if (this.isWritable) this.#onDrained();
  }

  #loseIf(attempt: symbol, error: CopilotError): void {
    if (this.#attempt === attempt) this.#lose(error);
  }

  #lose(error: CopilotError, why: ServerEnd = error.reason): void {
    const { observer, clock } = this.#options;
    const wasOpen = this.#isOpen;
    if (wasOpen) observer.disconnected(why);
    else if (this.#server !== undefined) {
      observer.dialled(why);
      this.#failedAt = clock.monotonic();
    }
    this.#redial?.cancel();
    this.#redial = undefined;
    const { sent, notSent } = this.#calls.lose();
    this.#connection?.close();
    this.#connection = undefined;
    this.#server = undefined;
    this.#attempt = undefined;
    this.#isOpen = false;
    this.#unreadAnswers = 0;
    // Sessions first: what an answer makes a client do must find them as they are.
    if (wasOpen) this.#options.onLost(error);
    for (const answered of sent) answered(lost(error, true));
    for (const answered of notSent) answered(lost(error, false));
    // Who waited for the connection goes on, and meets the next attempt.
    if (this.isWritable) this.#onDrained();
  }

  #onDrained(): void {
    this.#unreadAnswers = 0;
    this.#options.onDrained();
  }

  #onBody(body: Buffer): void {
    this.#options.observer.serverReceived(body.length);
    const event = scanEvent(body);
    if (event !== undefined) return this.#options.onEvent(event, body);
    const head = scanAnswer(body);
    if (head !== undefined) return this.#calls.take(head.id, { kind: 'Answer', body, head });
    const message = parseMessage(body);
    if (message.kind === 'request' || message.kind === 'notification') this.#onMessage(message, body);
    else if (typeof message.id === 'number') this.#calls.take(message.id, answerOf(body, message.id));
  }

  /** A frame that was skipped. Who waits for it as an answer must not wait for ever. */
  #onOversize(start: Buffer, length: number): void {
    this.#options.observer.serverOversize();
    const id = scanAnswer(start)?.id;
    if (id === undefined) return;
    const message = `the answer has ${length} bytes, more than the ${this.#options.limits.serverFrameBytes} allowed`;
    const body = Buffer.from(formatError(id, INTERNAL_ERROR, message));
    this.#calls.take(id, answerOf(body, id));
  }

  #onMessage(message: Message & { readonly kind: 'request' | 'notification' }, body: Buffer): void {
    const { params } = message;
    const event = isObject(params) && isObject(params['event']) ? params['event'] : undefined;
    const isEvent = message.kind === 'notification' && message.method === 'session.event' && isObject(params);
    if (!isEvent) return this.#options.onMessage(message, body);
    const [sessionId, type] = [params['sessionId'], event?.['type']];
    if (typeof sessionId === 'string' && typeof type === 'string') this.#options.onEvent({ sessionId, type }, body);
  }
}
