import { CopilotError, ProtocolError, TimeoutError, UnreachableError, errorOfAnswer, quote } from './errors.ts';
import { FrameDecoder, encodeFrame } from './framing.ts';
import { formatError, formatRequest, parseMessage, type RequestId } from './message.ts';
import { dialTcp, type Dial, type Timers, type Wire } from './wire.ts';

export interface ConnectionOptions {
  /** DNS name or IP address of the server. */
  readonly host: string;
  readonly port: number;
  /** The server's connection token; leave it out for a server that was started without one. */
  readonly token?: string;
  /** Clock of the deadlines. */
  readonly timers: Timers;
  /** Largest message accepted from the server, in bytes; default 16 MiB. */
  readonly maxFrameBytes?: number;
  /** How TCP connections are made; default `dialTcp`. */
  readonly dial?: Dial;
  /** Given the server's notifications, which are ignored otherwise. If it throws, the connection is closed. */
  readonly onNotification?: (method: string, params: unknown) => void;
  /** Told once when an open connection ends other than by `close()`. */
  readonly onLost?: (error: CopilotError) => void;
}

export interface CallOptions {
  /** Milliseconds until the call fails with TimeoutError. */
  readonly timeoutMs: number;
}

interface PendingRequest {
  readonly method: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: CopilotError) => void;
}

const METHOD_NOT_FOUND = -32601;
const REDACTED = '[token]';
/** A shorter token, which somebody chose by hand, may be a word of the protocol. */
const SHORTEST_SECRET = 16;
/** Requests given up that the server may still answer, before its connection is given up as well. */
const MAX_ABANDONED = 1024;

/**
 * A connection to one Copilot CLI server: frames, the `connect` handshake, requests matched to answers by id.
 * It never reconnects: whoever holds it knows whether a call may be repeated.
 *
 * ```ts
 * const connection = new Connection({ host, port: 4321, token, timers: systemClock });
 * await connection.open({ timeoutMs: 5000 });
 * const { version } = await getStatus(connection, { timeoutMs: 5000 });
 * connection.close();
 * ```
 */
export class Connection {
  /** `host:port`, as it stands in error messages. */
  readonly peer: string;
  readonly #options: ConnectionOptions;
  readonly #decoder: FrameDecoder;
  readonly #pending = new Map<RequestId, PendingRequest>();
  /** Ids of requests that ran into their deadline: a late answer to them is legal, one to any other id is not. */
  readonly #abandoned = new Set<RequestId>();
  #state: 'new' | 'dialling' | 'handshake' | 'open' | 'closed' = 'new';
  #wire: Wire | undefined;
  #lastId = 0;
  #dialled: { resolve: () => void; reject: (error: CopilotError) => void } | undefined;
  /** Why the connection ended. */
  #end: CopilotError | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.peer = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
    this.#decoder = new FrameDecoder(
      (body) => this.#onBody(body),
      options.maxFrameBytes === undefined ? {} : { maxBodyBytes: options.maxFrameBytes },
    );
  }

  /** Whether the connection has ended, for whatever reason; a new one is needed then. */
  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Whether requests may be made: it was opened and has not ended. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /**
   * Dials and presents the token, in `timeoutMs` together. Call it once.
   * @throws UnreachableError, AuthFailedError, TimeoutError or ProtocolError; the connection is closed after each.
   */
  async open({ timeoutMs }: CallOptions): Promise<void> {
    if (this.#state !== 'new') throw this.#end ?? new Error(`${this.peer}: open() was already called`);
    const deadline = setDeadline(this.#options.timers, timeoutMs, () => {
      this.#fail(
        this.#state === 'dialling'
          ? new UnreachableError(`${this.peer}: no TCP connection within ${timeoutMs} ms`)
          : new TimeoutError(`${this.peer}: takes connections, but did not answer "connect" within ${timeoutMs} ms`),
      );
    });
    try {
      await this.#dial();
      const { token } = this.#options;
      await this.#send('connect', token === undefined ? {} : { token }).answer;
      // Something wrong may have followed the answer in the same chunk.
      if (this.#end !== undefined) throw this.#end;
      this.#state = 'open';
    } catch (error) {
      // The server keeps the socket open after a refused token, for any number of further tries.
      const dialFailed = `${this.peer}: cannot dial: ${messageOf(error)}`;
      throw this.#fail(error instanceof CopilotError ? error : new UnreachableError(dialFailed, { cause: error }));
    } finally {
      deadline.cancel();
    }
  }

  /**
   * Sends a request and resolves with the answer's `result`, unchecked.
   * @throws RpcError if the server answers with an error, AuthFailedError if it wants the token first, TimeoutError (the
   * connection stays open), or the error that ended the connection.
   */
  async request(method: string, params: object, { timeoutMs }: CallOptions): Promise<unknown> {
    if (this.#state !== 'open') {
      throw this.#end ?? new Error(`${this.peer}: ${method} was called before open() had ended`);
    }
    const { id, answer } = this.#send(method, params);
    const deadline = setDeadline(this.#options.timers, timeoutMs, () => this.#abandon(id, timeoutMs));
    try {
      return await answer;
    } finally {
      deadline.cancel();
    }
  }

  /** Closes the connection and fails what waits for an answer. Calling it again does nothing. */
  close(): void {
    this.#fail(new UnreachableError(`${this.peer}: the connection was closed by this side`), { lost: false });
  }

  async #dial(): Promise<void> {
    this.#state = 'dialling';
    await new Promise<void>((resolve, reject) => {
      this.#dialled = { resolve, reject };
      this.#wire = (this.#options.dial ?? dialTcp)(this.#options, {
        connected: () => {
          this.#state = 'handshake';
          resolve();
        },
        data: (chunk) => this.#onData(chunk),
        drained: () => this.#wire?.resume(),
        closed: (error) => this.#fail(this.#closedByPeer(error)),
      });
    });
  }

  #send(method: string, params: object): { id: RequestId; answer: Promise<unknown> } {
    if (this.#end !== undefined) throw this.#end;
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { method, resolve, reject });
    });
    this.#wire?.write(encodeFrame(formatRequest(id, method, params)));
    return { id, answer };
  }

  #onData(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#fail(new ProtocolError(`${this.peer}: ${this.#redact(messageOf(error))}`, { cause: error }));
    }
  }

  #onBody(body: Buffer): void {
    // More frames of the same chunk may follow the one that ended the connection.
    if (this.#end !== undefined) return;
    const message = parseMessage(this.#withoutToken(body));
    switch (message.kind) {
      case 'answer':
        this.#take(message.id)?.resolve(message.result);
        break;
      case 'error': {
        const { code } = message;
        const text = this.#redact(message.message);
        if (message.id === null)
          throw new ProtocolError(`expected an answer, found the complaint ${code} ${quote(text)} about no request`);
        const pending = this.#take(message.id);
        pending?.reject(errorOfAnswer(this.peer, pending.method, code, text));
        break;
      }
      case 'request':
        this.#refuse(message.id, message.method);
        break;
      case 'notification':
        this.#options.onNotification?.(message.method, message.params);
        break;
    }
  }

  /** The request that an answer belongs to; undefined if its deadline has passed. */
  #take(id: RequestId): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    if (!this.#pending.delete(id) && !this.#abandoned.delete(id)) {
      throw new ProtocolError(
        `expected the answer to a request, found the id ${quote(String(id))}, which none waits for`,
      );
    }
    return pending;
  }

  /** A server may ask its client for things (user input, hooks); this client offers none, and says so. */
  #refuse(id: RequestId, method: string): void {
    const wire = this.#wire;
    const frame = encodeFrame(formatError(id, METHOD_NOT_FOUND, `this client has no method ${quote(method)}`));
    // A peer that asks without ever reading the answers would fill our memory with them.
    if (wire?.write(frame) === false) wire.pause();
  }

  #abandon(id: RequestId, timeoutMs: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#abandoned.add(id);
    const error = new TimeoutError(`${this.peer}: no answer to ${pending.method} within ${timeoutMs} ms`);
    pending.reject(error);
    if (this.#abandoned.size > MAX_ABANDONED) this.#fail(error);
  }

  #closedByPeer(error: NodeJS.ErrnoException | undefined): UnreachableError {
    const options = error === undefined ? {} : { cause: error };
    const code = error?.code ?? error?.message;
    if (this.#state === 'dialling') {
      return new UnreachableError(`${this.peer}: cannot connect: ${explain(code ?? 'the socket was closed')}`, options);
    }
    const half = this.#decoder.pendingBytes > 0 ? ' in the middle of a frame' : '';
    const early = this.#state === 'handshake' ? ' before it answered "connect"' : '';
    return new UnreachableError(
      `${this.peer}: the server closed the connection${early}${half}${code === undefined ? '' : ` (${code})`}`,
      options,
    );
  }

  /** Ends the connection and returns why it ended, which is `error` unless something came first. */
  #fail(error: CopilotError, { lost = this.#state === 'open' } = {}): CopilotError {
    if (this.#end !== undefined) return this.#end;
    this.#end = error;
    this.#state = 'closed';
    this.#wire?.destroy();
    this.#dialled?.reject(error);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.#abandoned.clear();
    if (lost) this.#options.onLost?.(error);
    return error;
  }

  /** Keeps the token out of whatever is made of a message: a version, a quotation of something unexpected, cut in its middle. */
  #withoutToken(body: Buffer): Buffer {
    const { token = '' } = this.#options;
    if (token.length < SHORTEST_SECRET || !body.includes(token)) return body;
    const bytes = Buffer.from(token).toString('latin1');
    return Buffer.from(body.toString('latin1').replaceAll(bytes, REDACTED), 'latin1');
  }

  /** Keeps the token out of error messages, which end in statuses and logs, if a peer sends it back. */
  #redact(text: string): string {
    const { token } = this.#options;
    return token === undefined || token === '' ? text : text.replaceAll(token, REDACTED);
  }
}

/**
 * Calls `onPassed` after `ms`, but never before the sockets were looked at once more: after a pause of the whole process
 * (SIGSTOP, a long garbage collection) timers run first, while answers that came in time still lie in the kernel.
 */
function setDeadline(timers: Timers, ms: number, onPassed: () => void): { cancel(): void } {
  let timer = timers.setTimer(ms, () => {
    timer = timers.setTimer(1, onPassed);
  });
  return { cancel: () => timer.cancel() };
}

function explain(code: string): string {
  if (code === 'ECONNREFUSED') return 'nothing listens on the port (ECONNREFUSED)';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `the name does not resolve (${code})`;
  return code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
