/** Either end of a JSON-RPC connection: what the client of a server is built on, and what a server for clients can be built on. */
import { setDeadline, type Timers } from './deadline.ts';
import {
  ProtocolError,
  TimeoutError,
  UnreachableError,
  messageOf,
  quote,
  rpcError,
  type CopilotError,
} from './errors.ts';
import { encodeFrame } from './frame-header.ts';
import { FrameDecoder } from './framing.ts';
import {
  formatAnswer,
  formatError,
  formatNotification,
  formatRequest,
  parseMessage,
  type Message,
  type RequestId,
} from './message.ts';
import { PendingRequests, type PendingRequest } from './pending-requests.ts';
import type { Redactor } from './redactor.ts';
import type { Wire, WireEvents } from './wire.ts';

export interface PeerOptions {
  /** Address of the other side, with which error messages begin. */
  readonly address: string;
  /** What the other side is, for error messages. */
  readonly otherSide: 'client' | 'server';
  /** Clock of the deadlines. */
  readonly timers: Timers;
  /** Largest message accepted, in bytes; default 16 MiB. */
  readonly maxFrameBytes?: number | undefined;
  /** Applied to every message received; default: none. */
  readonly redactor?: Redactor | undefined;
  /**
   * Answers a request of the other side with what it returns or resolves to. A {@link RequestRefusal} that it throws is
   * answered as it is, any other error as an internal one. Without a handler every request is an unknown method.
   */
  readonly onRequest?: ((method: string, params: unknown) => unknown) | undefined;
  /** Called with an unexpected error of `onRequest`, which the other side is not shown. */
  readonly onHandlerError?: ((error: unknown, method: string) => void) | undefined;
  /** Called with each notification; default: they are ignored. If it throws, the connection is closed. */
  readonly onNotification?: ((method: string, params: unknown) => void) | undefined;
  /** Called when the other side has read what was written, after {@link Peer.isWritable} was false. */
  readonly onDrained?: (() => void) | undefined;
  /** Called once when the connection ends other than by `close`. */
  readonly onLost?: ((error: CopilotError) => void) | undefined;
  /** The error for an error answer; default: RpcError. */
  readonly errorOf?: ((method: string, code: number, message: string, data: unknown) => CopilotError) | undefined;
  /** What the other side has not done yet if it closes the connection now, for the error message. */
  readonly unfinished?: (() => string) | undefined;
}

/** How a request is made. */
export interface RequestOptions {
  /** Milliseconds until the request fails with TimeoutError; default: it waits as long as the connection lasts. */
  readonly timeoutMs?: number | undefined;
}

/** Thrown by a request handler: the error with which the request is answered. */
export class RequestRefusal extends Error {
  /** JSON-RPC error code. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'RequestRefusal';
    this.code = code;
  }
}

const METHOD_NOT_FOUND = -32601;
const INTERNAL_ERROR = -32603;
const TOO_MANY_REQUESTS = -32000;
/** Requests that timed out and may still be answered, before the connection is given up. */
const MAX_ABANDONED = 1024;
/** Requests of the other side that are handled at once; one more is refused, for each is kept in memory. */
const MAX_HANDLED = 1024;

/**
 * Frames, requests and notifications in both directions, with answers matched to requests by id. It neither dials nor
 * reconnects, and knows no method.
 */
export class Peer {
  readonly #options: PeerOptions;
  readonly #decoder: FrameDecoder;
  readonly #wire: Wire;
  readonly #pending = new PendingRequests();
  #lastId = 0;
  #handled = 0;
  #writable = true;
  /** Whether the other side has to read its answers before its next messages are read. */
  #answersUnread = false;
  #paused = false;
  /** Why the connection ended. */
  #end: CopilotError | undefined;

  /** `attach` puts the peer on a connection that is being made or that was accepted. */
  constructor(attach: (events: WireEvents) => Wire, options: PeerOptions) {
    this.#options = options;
    const { maxFrameBytes } = options;
    this.#decoder = new FrameDecoder(
      (body) => this.#onBody(body),
      maxFrameBytes === undefined ? {} : { maxBodyBytes: maxFrameBytes },
    );
    this.#wire = attach({
      connected: () => undefined,
      data: (chunk) => this.#onData(chunk),
      drained: () => this.#onDrained(),
      closed: (error) => this.#lose(this.#closedByOtherSide(error)),
    });
  }

  /** Why the connection ended; undefined while it lasts. */
  get end(): CopilotError | undefined {
    return this.#end;
  }

  /** Whether the other side reads as fast as this side writes. While it is false, what is written is kept in memory. */
  get isWritable(): boolean {
    return this.#writable;
  }

  /**
   * Sends a request and resolves with the answer's `result`, unchecked.
   * @throws what `errorOf` makes of an error answer, TimeoutError (the connection stays open), or the error that ended
   * the connection.
   */
  request(method: string, params: object, { timeoutMs }: RequestOptions = {}): Promise<unknown> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const pending: PendingRequest = { id, method, resolve, reject, deadline: undefined };
    this.#pending.add(pending);
    this.#write(formatRequest(id, method, params));
    // The write may have ended the connection, which has rejected it then.
    if (timeoutMs !== undefined && this.#end === undefined)
      pending.deadline = setDeadline(this.#options.timers, timeoutMs, () => this.#abandon(id, timeoutMs));
    return promise;
  }

  /** Sends a notification. After the end of the connection it does nothing. */
  notify(method: string, params: object): void {
    this.#write(formatNotification(method, params));
  }

  /** Stops reading, so that the other side feels back-pressure. Answers to own requests are not read either; what has arrived is. */
  pause(): void {
    this.#setReading({ paused: true });
  }

  /** Reads again, unless the other side has yet to read its answers. */
  resume(): void {
    this.#setReading({ paused: false });
  }

  /** Ends the connection and fails what waits for an answer. Returns why it ended, which is `reason` unless something came first. */
  close(reason: CopilotError): CopilotError {
    if (this.#end !== undefined) return this.#end;
    this.#end = reason;
    this.#wire.destroy();
    for (const pending of this.#pending.takeAll()) pending.reject(reason);
    return reason;
  }

  #lose(error: CopilotError): void {
    if (this.#end !== undefined) return;
    this.close(error);
    this.#options.onLost?.(error);
  }

  #onData(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      const text = messageOf(error);
      const { address, redactor } = this.#options;
      this.#lose(new ProtocolError(`${address}: ${redactor?.text(text) ?? text}`, { cause: error }));
    }
  }

  #onBody(body: Buffer): void {
    // More frames of the same chunk may follow the one that ended the connection.
    if (this.#end !== undefined) return;
    const { redactor, onNotification } = this.#options;
    const message = parseMessage(redactor?.body(body) ?? body);
    switch (message.kind) {
      case 'answer':
        this.#take(message.id)?.resolve(message.result);
        break;
      case 'error':
        this.#onError(message, redactor?.text(message.message) ?? message.message);
        break;
      case 'request':
        this.#onRequest(message.id, message.method, message.params);
        break;
      case 'notification':
        onNotification?.(message.method, message.params);
        break;
    }
  }

  #onError({ id, code, data }: Message & { readonly kind: 'error' }, text: string): void {
    if (id === null)
      throw new ProtocolError(`expected an answer, found error ${code} ${quote(text)} without a request id`);
    const pending = this.#take(id);
    if (pending === undefined) return;
    const { address, errorOf } = this.#options;
    pending.reject(errorOf?.(pending.method, code, text, data) ?? rpcError(address, pending.method, code, text, data));
  }

  /** The request that an answer is for; undefined if its deadline has passed. */
  #take(id: RequestId): PendingRequest | undefined {
    const pending = this.#pending.take(id);
    if (pending === undefined && !this.#pending.takeAbandoned(id)) {
      throw new ProtocolError(`expected the answer to a request, found the id ${quote(String(id))} of no open request`);
    }
    return pending;
  }

  #onRequest(id: RequestId, method: string, params: unknown): void {
    const { onRequest, otherSide } = this.#options;
    if (onRequest === undefined) {
      const ourSide = otherSide === 'server' ? 'client' : 'server';
      this.#answer(formatError(id, METHOD_NOT_FOUND, `this ${ourSide} has no method ${quote(method)}`));
    } else if (this.#handled >= MAX_HANDLED) {
      this.#answer(formatError(id, TOO_MANY_REQUESTS, `more than ${MAX_HANDLED} requests are open`));
    } else {
      void this.#handle(onRequest, id, method, params);
    }
  }

  async #handle(
    handler: (method: string, params: unknown) => unknown,
    id: RequestId,
    method: string,
    params: unknown,
  ): Promise<void> {
    this.#handled += 1;
    let answer: string;
    try {
      answer = formatAnswer(id, await handler(method, params));
    } catch (error) {
      const isRefusal = error instanceof RequestRefusal;
      answer = isRefusal
        ? formatError(id, error.code, error.message)
        : formatError(id, INTERNAL_ERROR, 'internal error');
      if (!isRefusal) this.#options.onHandlerError?.(error, method);
    } finally {
      this.#handled -= 1;
    }
    this.#answer(answer);
  }

  #answer(body: string): void {
    // A peer that sends requests without ever reading the answers would fill our memory with them.
    if (!this.#write(body)) this.#setReading({ answersUnread: true });
  }

  /** Whether the other side keeps up with what is written; true after the end of the connection, when nothing is. */
  #write(body: string): boolean {
    if (this.#end !== undefined) return true;
    this.#writable = this.#wire.write(encodeFrame(body));
    return this.#writable;
  }

  #onDrained(): void {
    if (this.#end !== undefined) return;
    this.#writable = true;
    this.#setReading({ answersUnread: false });
    this.#options.onDrained?.();
  }

  #setReading({ paused = this.#paused, answersUnread = this.#answersUnread }): void {
    const was = this.#paused || this.#answersUnread;
    this.#paused = paused;
    this.#answersUnread = answersUnread;
    const is = paused || answersUnread;
    if (this.#end !== undefined || was === is) return;
    if (is) this.#wire.pause();
    else this.#wire.resume();
  }

  #abandon(id: RequestId, timeoutMs: number): void {
    const pending = this.#pending.abandon(id);
    if (pending === undefined) return;
    const error = new TimeoutError(`${this.#options.address}: no answer to ${pending.method} within ${timeoutMs} ms`);
    pending.reject(error);
    if (this.#pending.abandoned > MAX_ABANDONED) this.#lose(error);
  }

  #closedByOtherSide(error: NodeJS.ErrnoException | undefined): UnreachableError {
    const { address, otherSide, unfinished } = this.#options;
    const code = error?.code ?? error?.message;
    const half = this.#decoder.pendingBytes > 0 ? ' in the middle of a frame' : '';
    return new UnreachableError(
      `${address}: the ${otherSide} closed the connection${unfinished?.() ?? ''}${half}${code === undefined ? '' : ` (${code})`}`,
      error === undefined ? {} : { cause: error },
    );
  }
}
