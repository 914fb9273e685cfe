/** One attempt to connect to a server, and the connection that comes of it. */
import {
  AuthFailedError,
  FrameConnection,
  TimeoutError,
  UnreachableError,
  messageOf,
  setDeadline,
  type CopilotError,
  type Dial,
} from '../../../copilot/index.ts';
import type { GatewayServer } from '../../model.ts';
import type { Answered } from './calls.ts';
import type { ServerAnswer } from '../model.ts';
import { ServerIntake, type ServerIntakeOptions } from './server-intake.ts';
import { Silence } from './silence.ts';

export interface ServerAttemptOptions extends Omit<ServerIntakeOptions, 'isOpen' | 'name' | 'whenHeard'> {
  /** How connections are made; undefined: TCP. */
  readonly dial: Dial | undefined;
  readonly server: GatewayServer;
  /** Whether anybody waits for the server to say something. */
  readonly isAwaited: () => boolean;
  /** Sends a request by {@link ServerAttempt.send}. */
  readonly request: (method: string, params: object, answered: Answered) => void;
  /** The server has taken the `connect`. */
  readonly onOpen: () => void;
  /** What was not read of the requests so far has been read. */
  readonly onDrained: () => void;
}

/** As the SDKs say it: `connect` refuses what it does not know. */
const CONNECT = { supportedTaskKinds: ['agent', 'client', 'shell'] };

/** It begins at once. When it fails, or the connection is lost, `onLost` is called, and whoever is called closes it. */
export class ServerAttempt {
  readonly server: GatewayServer;
  readonly intake: ServerIntake;
  readonly #options: ServerAttemptOptions;
  #connection: FrameConnection | undefined;
  /** While it is open. */
  #silence: Silence | undefined;
  #isOpen = false;
  #isClosed = false;

  constructor(options: ServerAttemptOptions) {
    this.#options = options;
    this.server = options.server;
    this.intake = new ServerIntake({
      ...options,
      isOpen: () => this.#isOpen,
      name: () => this.name,
      whenHeard: (fn) =>
        options.request('ping', {}, ({ kind }) => {
          if (kind === 'Answer') fn();
        }),
      onLost: (error) => this.#fail(error),
    });
    const { clock, limits } = options;
    const within = `within ${limits.dialTimeoutMs} ms`;
    const deadline = setDeadline(clock, limits.dialTimeoutMs, () =>
      this.#fail(new TimeoutError(`${this.name}: the server did not answer "connect" ${within}`)),
    );
    void this.#open()
      .catch((error: unknown) =>
        this.#fail(new UnreachableError(`${this.server.key}: ${messageOf(error)}`, { cause: error })),
      )
      .finally(() => deadline.cancel());
  }

  /** With which messages begin. */
  get name(): string {
    return this.#connection?.address ?? this.server.key;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the server reads as fast as this side writes. */
  get isWritable(): boolean {
    return this.#connection?.isWritable ?? true;
  }

  /** Returns the bytes that were sent; undefined: there is no connection yet. */
  send(body: string): number | undefined {
    return this.#connection?.send(body);
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
    this.intake.close();
    this.#connection?.close();
    this.#silence?.stop();
  }

  #fail(error: CopilotError): void {
    if (!this.#isClosed) this.#options.onLost(error);
  }

  /** Resolves when the connection is open, or is not wanted any more. */
  async #open(): Promise<void> {
    const { server, intake } = this;
    const token = await server.token();
    if (this.#isClosed) return;
    const { promise: connected, resolve: onConnected } = Promise.withResolvers<void>();
    const { promise: ended, resolve: onEnded } = Promise.withResolvers<void>();
    const { dial, limits, onDrained, request } = this.#options;
    this.#connection = new FrameConnection({
      host: server.host,
      port: server.port,
      dial,
      maxFrameBytes: limits.serverFrameBytes,
      onConnected,
      runs: intake.runs(),
      onBody: (body) => intake.take(body),
      onOversize: (start, length) => intake.takeOversize(start, length),
      onDrained,
      onLost: (error) => {
        this.#fail(error);
        onEnded();
      },
    });
    await Promise.race([connected, ended]);
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      request('connect', { token, ...CONNECT }, (answer) => {
        this.#connectAnswered(answer);
        resolve();
      });
    });
  }

  #connectAnswered(answer: ServerAnswer): void {
    if (answer.kind !== 'Answer') return;
    if (answer.head.isError) {
      this.server.tokenRefused();
      return this.#fail(new AuthFailedError(`${this.name}: the server refused the connection token`));
    }
    this.#isOpen = true;
    this.#silence = this.#watch();
    this.#options.onOpen();
  }

  /** A path that is lost without a word ends no connection, and whoever waits for the server would do so for ever. */
  #watch(): Silence {
    const { clock, limits, isAwaited, request } = this.#options;
    return new Silence({
      timers: clock,
      silentMs: limits.silentMs,
      signs: () => this.#connection?.signs ?? 0,
      isAwaited,
      ask: () => request('ping', {}, () => undefined),
      onSilent: () => this.#fail(new TimeoutError(`${this.name}: the server is silent, and does not answer "ping"`)),
    });
  }
}
