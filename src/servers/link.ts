import { Client, type CallOptions, type ClientOptions } from '../copilot/client.ts';
import type { CopilotError } from '../copilot/errors.ts';
import type { UnhealthyReason } from '../copilot/errors.ts';
import type { DialPacer } from './dial-pacer.ts';
import { retryDelay } from './retry.ts';
import type { Timers } from '../copilot/deadline.ts';
import type { Dial } from '../copilot/wire.ts';

/** Where a server is reached. */
export interface ServerAddress {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
  /** The server's connection token. */
  readonly token: string;
}

/** What the links of one part of the operator share. */
export interface LinkContext {
  readonly clock: { monotonic(): number };
  readonly random: () => number;
  readonly timers: Timers;
  readonly pacer: DialPacer;
  /** How connections are made; undefined: TCP. */
  readonly dial: Dial | undefined;
}

export interface LinkOptions extends Pick<ClientOptions, 'maxFrameBytes' | 'onNotification'> {
  /** The time has come that was given to `schedule`, and a dial may begin if one is needed. */
  readonly onDue: () => void;
  /** The connection ended between two turns. During one it is the call that fails. */
  readonly onLost: (error: CopilotError) => void;
}

/**
 * A long-lived connection to one server, dialled at the pacer's pace and again after it was lost, and the timer of what is
 * asked over it next. Whoever holds it works in turns (a check, a poll), one at a time.
 */
export class ServerLink {
  readonly #context: LinkContext;
  readonly #options: LinkOptions;
  #address: ServerAddress;
  #connection: Client | undefined;
  #timer: ReturnType<Timers['setTimer']> | undefined;
  #dueAt = 0;
  #dialReserved = false;
  #busy = false;
  /** Monotonic ms of the first failure since the last success. */
  #failingSince: number | undefined;
  /** Raised when the address changes or the link is stopped: the outcome of a turn that began before means nothing. */
  #generation = 0;

  constructor(address: ServerAddress, context: LinkContext, options: LinkOptions) {
    this.#address = address;
    this.#context = context;
    this.#options = options;
  }

  /** The connection that is kept; undefined: the next turn dials. */
  get connection(): Client | undefined {
    return this.#connection;
  }

  /** When the next turn is due, monotonic ms. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** For how long it has failed, ms: since the first failure after the last success. */
  get failingMs(): number {
    return this.#failingSince === undefined ? 0 : this.#context.clock.monotonic() - this.#failingSince;
  }

  /** Whether a turn goes on. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /** Has the next turn come in `ms`, and no other. */
  schedule(ms: number): void {
    const { clock, timers } = this.#context;
    this.#timer?.cancel();
    this.#dueAt = clock.monotonic() + ms;
    this.#timer = timers.setTimer(ms, () => this.#wake());
  }

  /** Begins a turn. What it returns ends the turn, and says whether its outcome still means anything. */
  begin(): () => boolean {
    const generation = this.#generation;
    this.#busy = true;
    return () => {
      if (generation !== this.#generation) return false;
      this.#busy = false;
      return true;
    };
  }

  /** The connection, dialled first if none is kept. Rejects as `Client.open` does. */
  async open(call: CallOptions): Promise<Client> {
    if (this.#connection !== undefined) return this.#connection;
    const { timers, dial } = this.#context;
    const { host, port, token } = this.#address;
    const { onDue: _, onLost, ...options } = this.#options;
    const connection: Client = new Client({
      host,
      port,
      token,
      timers,
      ...options,
      ...(dial !== undefined && { dial }),
      onLost: (error) => {
        if (connection === this.#connection && !this.#busy) onLost(error);
      },
    });
    this.#connection = connection;
    await connection.open(call);
    return connection;
  }

  /** Takes another address or token over, with a turn at once; old failures are not the new server's. Equal ones change nothing. */
  moveTo(address: ServerAddress): boolean {
    const { host, port, token } = this.#address;
    this.#address = address;
    if (host === address.host && port === address.port && token === address.token) return false;
    this.#interrupt();
    this.#failingSince = undefined;
    this.schedule(0);
    return true;
  }

  /** The server works: the next failure is a first one. */
  succeeded(): void {
    this.#failingSince = undefined;
  }

  /** Drops the connection: whatever is wrong, a fresh one proves more than a doubtful one. Returns the ms until the next try. */
  failed(reason: UnhealthyReason, intervalMs: number): number {
    const { clock, random } = this.#context;
    this.#connection?.close();
    this.#connection = undefined;
    this.#failingSince ??= clock.monotonic();
    return retryDelay(reason, { awayMs: this.failingMs, intervalMs, random });
  }

  /** No further turn comes, and the connection is closed. */
  stop(): void {
    this.#interrupt();
    this.#timer?.cancel();
  }

  #interrupt(): void {
    this.#generation += 1;
    this.#busy = false;
    this.#connection?.close();
    this.#connection = undefined;
  }

  #wake(): void {
    const { clock, pacer } = this.#context;
    if (this.#connection === undefined && !this.#dialReserved) {
      const wait = pacer.reserve(clock.monotonic());
      this.#dialReserved = wait > 0;
      if (wait > 0) return this.schedule(wait);
    }
    this.#dialReserved = false;
    this.#options.onDue();
  }
}
