/** The one connection of the gateway to a server: dialled when it is needed, and again after it was lost. */
import {
  AuthFailedError,
  FrameConnection,
  ProtocolError,
  RpcError,
  TimeoutError,
  UnreachableError,
  formatAnswer,
  formatError,
  formatRequest,
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

type Answered = (answer: ServerAnswer) => void;

interface Pending {
  readonly method: string;
  readonly answered: Answered;
}

const INTERNAL_ERROR = -32603;
/** As the SDKs say it: `connect` refuses what it does not know. */
const CONNECT = { supportedTaskKinds: ['agent', 'client', 'shell'] };

/** One connection at a time. Requests are answered in any order, or `Lost` all at once. */
export class Upstream {
  readonly #options: UpstreamOptions;
  /** Requests that were sent, by their id on this leg. Ids are never used again, not even by another connection. */
  readonly #pending = new Map<number, Pending>();
  /** Requests until the connection is open, in order. */
  #queue: { readonly send: () => void; readonly answered: Answered }[] = [];
  #lastId = 0;
  #connection: FrameConnection | undefined;
  /** What is dialled or connected to. */
  #server: GatewayServer | undefined;
  #isOpen = false;
  /** When the last attempt to connect failed, monotonic ms; undefined: the last one succeeded. */
  #failedAt: number | undefined;
  #redial: { cancel(): void } | undefined;

  constructor(options: UpstreamOptions) {
    this.#options = options;
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
    return this.#pending.size + this.#queue.length;
  }

  /** Whether the server reads as fast as this side writes. */
  get isWritable(): boolean {
    return this.#connection?.isWritable ?? true;
  }

  /** Sends a request, dialling first if need be. `answered` is called once, maybe at once. */
  request(method: string, params: object, answered: Answered): void {
    if (this.#isOpen) return this.#send(method, params, answered);
    if (this.#queue.length >= this.#options.limits.dialQueue) return answered(lost(this.#full(), false));
    this.#queue.push({ send: () => this.#send(method, params, answered), answered });
    if (this.#server === undefined) this.#connectSoon();
  }

  /**
   * A call of the gateway's own. Resolves with its result.
   * @throws RpcError if the server answers with an error, TimeoutError, or the error that ended the connection.
   */
  async call(method: string, params: object): Promise<unknown> {
    const { clock, limits } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const tooLate = () =>
      reject(new TimeoutError(`${this.#name}: no answer to ${method} within ${limits.callTimeoutMs} ms`));
    const deadline = setDeadline(clock, limits.callTimeoutMs, tooLate);
    this.request(method, params, (answer) => {
      if (answer.kind === 'Lost') return reject(answer.error);
      try {
        resolve(this.#resultOf(method, answer.body));
      } catch (error) {
        reject(error);
      }
    });
    try {
      return await promise;
    } finally {
      deadline.cancel();
    }
  }

  /** Answers a request of the server. */
  answer(id: number | string, answer: ClientAnswer): void {
    const { error } = 'error' in answer ? answer : { error: undefined };
    const body =
      error === undefined
        ? formatAnswer(id, (answer as { result: unknown }).result)
        : formatError(id, error.code, error.message);
    this.#write(body);
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
      `${this.#name}: more than ${this.#options.limits.dialQueue} requests wait for the server`,
    );
  }

  #send(method: string, params: object, answered: Answered): void {
    this.#lastId += 1;
    this.#pending.set(this.#lastId, { method, answered });
    this.#write(formatRequest(this.#lastId, method, params));
  }

  #write(body: string): void {
    if (this.#connection === undefined) return;
    this.#connection.send(body);
    this.#options.observer.serverSent(Buffer.byteLength(body));
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
    this.#server = server;
    const within = `within ${limits.dialTimeoutMs} ms`;
    const deadline = setDeadline(clock, limits.dialTimeoutMs, () =>
      this.#loseIf(server, new TimeoutError(`${this.#name}: the server did not answer "connect" ${within}`)),
    );
    const isCurrent = () => this.#server === server;
    void this.#open(server, isCurrent)
      .catch((error: unknown) => {
        this.#loseIf(server, new UnreachableError(`${server.key}: ${messageOf(error)}`, { cause: error }));
      })
      .finally(() => deadline.cancel());
  }

  /** Resolves when the connection is open, or is not wanted any more. */
  async #open(server: GatewayServer, isCurrent: () => boolean): Promise<void> {
    const token = await server.token();
    if (!isCurrent()) return;
    const { promise: connected, resolve: onConnected } = Promise.withResolvers<void>();
    const { promise: ended, resolve: onEnded } = Promise.withResolvers<void>();
    const { dial, limits, onDrained } = this.#options;
    this.#connection = new FrameConnection({
      host: server.host,
      port: server.port,
      dial,
      maxFrameBytes: limits.serverFrameBytes,
      onConnected,
      onBody: (body) => this.#onBody(body),
      onOversize: (start, length) => this.#onOversize(start, length),
      onDrained,
      onLost: (error) => {
        this.#loseIf(server, error);
        onEnded();
      },
    });
    await Promise.race([connected, ended]);
    if (!isCurrent()) return;
    await new Promise<void>((resolve) => {
      this.#send('connect', { token, ...CONNECT }, (answer) => {
        this.#connectAnswered(server, answer);
        resolve();
      });
    });
  }

  #connectAnswered(server: GatewayServer, answer: ServerAnswer): void {
    if (answer.kind === 'Lost') return;
    if (answer.head.isError) {
      return this.#loseIf(server, new AuthFailedError(`${this.#name}: the server refused the connection token`));
    }
    this.#isOpen = true;
    this.#failedAt = undefined;
    this.#options.observer.dialled('Connected');
    const queue = this.#queue;
    this.#queue = [];
    for (const { send } of queue) send();
  }

  #loseIf(server: GatewayServer, error: CopilotError): void {
    if (this.#server === server) this.#lose(error);
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
    const [pending, queue] = [[...this.#pending.values()], this.#queue];
    this.#connection?.close();
    this.#connection = undefined;
    this.#server = undefined;
    this.#isOpen = false;
    this.#pending.clear();
    this.#queue = [];
    // Sessions first: what an answer makes a client do must find them as they are.
    if (wasOpen) this.#options.onLost(error);
    for (const { answered } of pending) answered(lost(error, true));
    for (const { answered } of queue) answered(lost(error, false));
  }

  #onBody(body: Buffer): void {
    this.#options.observer.serverReceived(body.length);
    const event = scanEvent(body);
    if (event !== undefined) return this.#options.onEvent(event, body);
    const head = scanAnswer(body);
    if (head !== undefined) return this.#take(head.id, { kind: 'Answer', body, head });
    const message = parseMessage(body);
    if (message.kind === 'request' || message.kind === 'notification') this.#onMessage(message, body);
    else if (typeof message.id === 'number') this.#take(message.id, answerOf(body, message.id));
  }

  /** A frame that was skipped. Who waits for it as an answer must not wait for ever. */
  #onOversize(start: Buffer, length: number): void {
    this.#options.observer.serverOversize();
    const id = scanAnswer(start)?.id;
    if (id === undefined) return;
    const message = `the answer has ${length} bytes, more than the ${this.#options.limits.serverFrameBytes} allowed`;
    const body = Buffer.from(formatError(id, INTERNAL_ERROR, message));
    this.#take(id, answerOf(body, id));
  }

  #onMessage(message: Message & { readonly kind: 'request' | 'notification' }, body: Buffer): void {
    const { params } = message;
    const event = isObject(params) && isObject(params['event']) ? params['event'] : undefined;
    const isEvent = message.kind === 'notification' && message.method === 'session.event' && isObject(params);
    if (!isEvent) return this.#options.onMessage(message, body);
    const [sessionId, type] = [params['sessionId'], event?.['type']];
    if (typeof sessionId === 'string' && typeof type === 'string') this.#options.onEvent({ sessionId, type }, body);
  }

  /** An id that is not open is a server's mistake that harms nobody. */
  #take(id: number, answer: ServerAnswer): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.answered(answer);
  }

  #resultOf(method: string, body: Buffer): unknown {
    const message = parseMessage(body);
    if (message.kind === 'answer') return message.result;
    if (message.kind !== 'error') throw new ProtocolError(`${this.#name}: the answer to ${method} is none`);
    throw new RpcError(`${this.#name}: ${method} failed with error ${message.code}`, message.code, message.message);
  }
}

function lost(error: CopilotError, sent: boolean): ServerAnswer {
  return { kind: 'Lost', error, sent };
}

/** An answer in the form that is passed on, however the server wrote it. */
function answerOf(body: Buffer, id: number): ServerAnswer {
  const { result, error } = JSON.parse(body.toString()) as { result?: unknown; error?: unknown };
  const formatted = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id, ...(error === undefined ? { result } : { error }) }),
  );
  const head = scanAnswer(formatted);
  if (head === undefined) throw new ProtocolError(`expected an answer, found one with the id ${id}`);
  return { kind: 'Answer', body: formatted, head };
}
