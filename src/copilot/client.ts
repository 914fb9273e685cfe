/** The client of a Copilot CLI server: dialling, the `connect` handshake with the token, and requests. */
import { setDeadline, type Timers } from './deadline.ts';
import { CopilotError, TimeoutError, UnreachableError, errorOfAnswer, messageOf } from './errors.ts';
import { Peer, type PeerOptions } from './peer.ts';
import { Redactor } from './redactor.ts';
import { addressOf, dialTcp, type Dial } from './wire.ts';

export interface ClientOptions extends Pick<
  PeerOptions,
  'maxFrameBytes' | 'onRequest' | 'onHandlerError' | 'onNotification'
> {
  /** DNS name or IP address of the server. */
  readonly host: string;
  readonly port: number;
  /** The server's connection token; undefined for a server that was started without one. */
  readonly token?: string | undefined;
  /** Clock of the deadlines. */
  readonly timers: Timers;
  /** How TCP connections are made; default `dialTcp`. */
  readonly dial?: Dial | undefined;
  /** Called once when an open connection ends other than by `close()`. */
  readonly onLost?: ((error: CopilotError) => void) | undefined;
}

export interface CallOptions {
  /** Milliseconds until the call fails with TimeoutError. */
  readonly timeoutMs: number;
}

/** What calls are made on: a client, or a user's share in one. */
export interface Requester {
  /** The server's address, with which error messages begin. */
  readonly address: string;
  request(method: string, params: object, options: CallOptions): Promise<unknown>;
}

/**
 * A connection to one Copilot CLI server. It never reconnects: whether a call may be repeated is up to the caller.
 *
 * ```ts
 * const client = new Client({ host, port: 4321, token, timers: systemClock });
 * await client.open({ timeoutMs: 5000 });
 * const { version } = await getStatus(client, { timeoutMs: 5000 });
 * client.close();
 * ```
 */
export class Client implements Requester {
  /** `host:port`, with which error messages begin. */
  readonly address: string;
  readonly #options: ClientOptions;
  #state: 'new' | 'dialling' | 'handshake' | 'open' | 'closed' = 'new';
  #peer: Peer | undefined;
  /** Fails the dial under way. */
  #failDial: ((error: CopilotError) => void) | undefined;
  /** Why the connection ended. */
  #end: CopilotError | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.address = addressOf(options);
  }

  /** Whether the connection has ended, for whatever reason; a new one is needed then. */
  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Whether there is no TCP connection yet. */
  get isDialling(): boolean {
    return this.#state === 'dialling';
  }

  /** Whether requests may be made: it was opened and has not ended. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /**
   * Dials and presents the token, in `timeoutMs` together; without it until `close`. Call it once.
   * @throws UnreachableError, AuthFailedError, TimeoutError or ProtocolError; the connection is closed after each.
   */
  async open({ timeoutMs }: Partial<CallOptions> = {}): Promise<void> {
    if (this.#state !== 'new') throw this.#end ?? new Error(`${this.address}: open() was already called`);
    const deadline =
      timeoutMs === undefined
        ? undefined
        : setDeadline(this.#options.timers, timeoutMs, () => this.close(this.notOpenWithin(timeoutMs)));
    try {
      const peer = await this.#dial();
      const { token } = this.#options;
      await peer.request('connect', token === undefined ? {} : { token });
      // The connection may have ended with what followed the answer in the same chunk.
      if (this.#end !== undefined) throw this.#end;
      this.#state = 'open';
    } catch (error) {
      // Also after a refused token, for which the server keeps the socket open.
      const dialFailed = `${this.address}: cannot dial: ${messageOf(error)}`;
      throw this.#fail(error instanceof CopilotError ? error : new UnreachableError(dialFailed, { cause: error }));
    } finally {
      deadline?.cancel();
    }
  }

  /**
   * Sends a request and resolves with the answer's `result`, unchecked.
   * @throws RpcError if the server answers with an error, AuthFailedError if it wants the token first, TimeoutError (the
   * connection stays open), or the error that ended the connection.
   */
  request(method: string, params: object, options: CallOptions): Promise<unknown> {
    if (this.#state !== 'open' || this.#peer === undefined) {
      return Promise.reject(this.#end ?? new Error(`${this.address}: ${method} was called before open() was done`));
    }
    return this.#peer.request(method, params, options);
  }

  /** Closes the connection and fails what waits for an answer with `reason`. Calling it again does nothing. */
  close(reason: CopilotError = new UnreachableError(`${this.address}: the connection was closed by this side`)): void {
    this.#fail(reason);
  }

  /** The error for a connection that is not open within `ms`, which says how far it got. */
  notOpenWithin(ms: number): CopilotError {
    return this.#state === 'handshake'
      ? new TimeoutError(
          `${this.address}: the server accepted the connection but did not answer "connect" within ${ms} ms`,
        )
      : new UnreachableError(`${this.address}: no TCP connection within ${ms} ms`);
  }

  async #dial(): Promise<Peer> {
    this.#state = 'dialling';
    const { host, port, token, timers, dial = dialTcp, ...handlers } = this.#options;
    const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
    const peer = new Peer(
      (events) =>
        dial(
          { host, port },
          {
            ...events,
            connected: () => {
              this.#state = 'handshake';
              resolve();
            },
            closed: (error) =>
              this.#state === 'dialling' ? void this.#fail(this.#cannotConnect(error)) : events.closed(error),
          },
        ),
      {
        ...handlers,
        address: this.address,
        otherSide: 'server',
        timers,
        redactor: token === undefined ? undefined : new Redactor(token),
        errorOf: (method, code, message, data) => errorOfAnswer(this.address, method, code, message, data),
        unfinished: () => (this.#state === 'handshake' ? ' before it answered "connect"' : ''),
        onLost: (error) => this.#lose(error),
      },
    );
    this.#peer = peer;
    this.#failDial = reject;
    await connected;
    return peer;
  }

  #lose(error: CopilotError): void {
    const wasOpen = this.isOpen;
    this.#fail(error);
    if (wasOpen) this.#options.onLost?.(error);
  }

  /** Ends the connection and returns why it ended, which is `error` unless something came first. */
  #fail(error: CopilotError): CopilotError {
    if (this.#end !== undefined) return this.#end;
    this.#end = error;
    this.#state = 'closed';
    this.#peer?.close(error);
    this.#failDial?.(error);
    return error;
  }

  #cannotConnect(error: NodeJS.ErrnoException | undefined): UnreachableError {
    const found = explain(error?.code ?? error?.message ?? 'the socket was closed');
    return new UnreachableError(
      `${this.address}: cannot connect: ${found}`,
      error === undefined ? {} : { cause: error },
    );
  }
}

function explain(code: string): string {
  if (code === 'ECONNREFUSED') return 'nothing listens on the port (ECONNREFUSED)';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `the name does not resolve (${code})`;
  return code;
}
