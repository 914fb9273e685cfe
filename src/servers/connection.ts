/** The one connection to a server, which several users share: the pinger's checks and the survey's polls run on it concurrently. */
import {
  Client,
  CopilotError,
  type RpcError,
  UnreachableError,
  setDeadline,
  type CallOptions,
  type Dial,
  type Timers,
} from '../copilot/index.ts';
import { ConnectionShare, type ConnectionUser, type SharedConnection } from './connection-share.ts';
import type { DialPacer } from './dial-pacer.ts';

/** Where a server is reached. */
export interface ServerAddress {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
  /** The server's connection token (`COPILOT_CONNECTION_TOKEN`). */
  readonly token: string;
}

/** What the connections of one process share. */
export interface ConnectionContext {
  readonly clock: { monotonic(): number };
  readonly timers: Timers;
  readonly pacer: DialPacer;
  /** How connections are made; undefined: TCP. */
  readonly dial: Dial | undefined;
}

const NONE: readonly string[] = [];

/** A connection that is being opened, for as long as a user waits for it. */
interface Opening {
  readonly client: Client;
  readonly opened: Promise<void>;
  /** When it began, monotonic ms. */
  readonly since: number;
  waiting: number;
}

/**
 * A long-lived connection, dialled at the pacer's pace when a user needs it, and again after it was lost. A user whose
 * request fails drops it, since a fresh connection proves more than a doubtful one; what the others wait for then fails too.
 *
 * It accepts messages of up to 16 MiB, the default, which a list of 100,000 sessions needs. A hostile server can make us keep
 * twice that for a message that it does not finish, but only until the next ping times out, whose answer can't overtake it.
 */
export class ServerConnection implements SharedConnection {
  readonly #context: ConnectionContext;
  readonly #shares = new Set<ConnectionShare>();
  /** The methods that the server lacks, each with the connection on which that was last learned. Undefined: none. */
  #lacking: Map<string, Client> | undefined;
  #address: ServerAddress;
  #client: Client | undefined;
  #opening: Opening | undefined;
  /** When the dial may begin that a user has announced, monotonic ms. */
  #dialAt: number | undefined;

  constructor(address: ServerAddress, context: ConnectionContext) {
    this.#address = address;
    this.#context = context;
  }

  /** Adds a user, for as long as the connection exists. */
  join(user: ConnectionUser): ConnectionShare {
    const share = new ConnectionShare(user, this);
    this.#shares.add(share);
    return share;
  }

  /** The open connection; undefined: it must be dialled. */
  get client(): Client | undefined {
    return this.#client?.isOpen === true ? this.#client : undefined;
  }

  /** Whether the server has answered that it lacks the method. A process that has it would have another connection. */
  lacks(method: string): boolean {
    const client = this.#lacking?.get(method);
    return client !== undefined && client === this.#client;
  }

  /**
   * The methods that the server lacks, for reports. They outlive a lost connection, until the server answers one of them or
   * its process is another: a report must not change with each connection.
   */
  get lackingMethods(): readonly string[] {
    return this.#lacking === undefined || this.#lacking.size === 0 ? NONE : [...this.#lacking.keys()].toSorted();
  }

  /** Learns from an answer to the method; `error`: the one that the server answered with, if it did. */
  learn(client: Client, method: string, error?: RpcError): void {
    if (client !== this.#client) return;
    if (error?.isMethodNotFound === true) (this.#lacking ??= new Map()).set(method, client);
    else this.#lacking?.delete(method);
  }

  /** Forgets what was learned of the server's methods, because its process is another. */
  forgetMethods(): void {
    this.#lacking = undefined;
  }

  /** Ms until the connection may be dialled; 0: at once, or there is one. Users that need it at the same time share a dial. */
  get dialDelayMs(): number {
    if (this.#client !== undefined) return 0;
    const now = this.#context.clock.monotonic();
    this.#dialAt ??= now + this.#context.pacer.reserve(now);
    return Math.max(0, this.#dialAt - now);
  }

  /** The connection, dialled if there is none. Each user waits for its own time; the dial is given up with the last of them. */
  async open({ timeoutMs }: CallOptions): Promise<Client> {
    if (this.client !== undefined) return this.client;
    this.#replaceDial(timeoutMs);
    this.#opening ??= this.#dial();
    const opening = this.#opening;
    const { client, opened } = opening;
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const deadline = setDeadline(this.#context.timers, timeoutMs, () => reject(client.notOpenWithin(timeoutMs)));
    opening.waiting += 1;
    try {
      await Promise.race([opened, tooLate]);
      return client;
    } catch (error) {
      // Unless it has just been opened, which other users may know already.
      if (opening.waiting === 1 && !client.isOpen && error instanceof CopilotError) this.#discard(client, error);
      throw error;
    } finally {
      opening.waiting -= 1;
      deadline.cancel();
    }
  }

  /** Closes the connection `client`, if it is still this one, because a request of `by` failed. */
  drop(client: Client, by: ConnectionShare, why: string): void {
    if (client !== this.client) return;
    const error = new UnreachableError(
      `${client.address}: the connection was closed because another request on it failed: ${why}`,
    );
    this.#discard(client, error);
    for (const share of this.#shares) if (share !== by) share.end(client, { error, isDoubtful: true });
  }

  /** Takes over another address or token, with which the connection is dialled again. Returns false if both are the same. */
  move(address: ServerAddress): boolean {
    const { host, port, token } = this.#address;
    this.#address = address;
    if (host === address.host && port === address.port && token === address.token) return false;
    this.forgetMethods();
    this.#hangUp();
    return true;
  }

  /** Closes the connection for good. Its users are not notified, not even of an end that other users have just been notified of. */
  close(): void {
    this.#shares.clear();
    this.#hangUp();
  }

  #hangUp(): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#discard(client, new UnreachableError(`${client.address}: the connection was closed by this side`));
  }

  /**
   * Ends a dial that has lasted longer than its next user would wait. The kernel repeats an attempt at ever longer intervals, and
   * users that wait in turn would keep it alive long after a new one would have succeeded.
   */
  #replaceDial(timeoutMs: number): void {
    if (this.#opening === undefined) return;
    const { client, since } = this.#opening;
    const age = Math.round(this.#context.clock.monotonic() - since);
    if (age >= timeoutMs && client.isDialling) this.#discard(client, client.notOpenWithin(age));
  }

  #dial(): Opening {
    this.#dialAt = undefined;
    const { clock, timers, dial } = this.#context;
    const client: Client = new Client({
      ...this.#address,
      timers,
      dial,
      onNotification: (method, params) => {
        for (const share of this.#shares) share.user.onNotification?.(method, params);
      },
      onLost: (error) => this.#lose(client, error),
    });
    this.#client = client;
    return { client, opened: this.#open(client), since: clock.monotonic(), waiting: 0 };
  }

  async #open(client: Client): Promise<void> {
    try {
      await client.open();
    } catch (error) {
      if (client === this.#client) this.#client = undefined;
      throw error;
    } finally {
      if (client === this.#opening?.client) this.#opening = undefined;
    }
  }

  #lose(client: Client, error: CopilotError): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    const waiting = [...this.#shares].filter((share) => share.isWaitingOn(client));
    for (const share of this.#shares) {
      share.end(client, { error, isDoubtful: waiting.some((other) => other !== share) });
    }
  }

  #discard(client: Client, error: CopilotError): void {
    if (client === this.#client) this.#client = undefined;
    if (client === this.#opening?.client) this.#opening = undefined;
    client.close(error);
  }
}
