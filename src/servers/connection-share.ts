/** What each user of a shared connection has of it. */
import { RpcError, type CallOptions, type Client, type CopilotError, type Requester } from '../copilot/index.ts';

/** How a connection ended that its user did not end. */
export interface ConnectionEnd {
  readonly error: CopilotError;
  /**
   * Whether the end shows little about the server: another user dropped the connection, or was waiting for an answer, which
   * may be what ended it.
   */
  readonly isDoubtful: boolean;
}

/** What a user of a connection is notified of. */
export interface ConnectionUser {
  /** An open connection ended other than by the user's own `drop`; what the user was waiting for fails as well. */
  readonly onEnd: (end: ConnectionEnd) => void;
  readonly onNotification?: (method: string, params: unknown) => void;
}

/** The connection, as its users' shares see it. */
export interface SharedConnection {
  /** The open connection; undefined: it must be dialled. */
  readonly client: Client | undefined;
  /** Ms until the connection may be dialled; 0: at once, or there is one. */
  readonly dialDelayMs: number;
  /** The connection, dialled if there is none. */
  open(options: CallOptions): Promise<Client>;
  /** Closes the connection `client`, if it is still this one, because a request of `by` failed. */
  drop(client: Client, by: ConnectionShare, why: string): void;
  /** Whether the server has answered that it lacks the method. */
  lacks(method: string): boolean;
  /** Learns from an answer to the method; `error`: the one that the server answered with, if it did. */
  learn(client: Client, method: string, error?: RpcError): void;
}

/** One user's share in a connection. */
export class ConnectionShare {
  readonly user: ConnectionUser;
  readonly #connection: SharedConnection;
  #current: SharedClient | undefined;

  constructor(user: ConnectionUser, connection: SharedConnection) {
    this.user = user;
    this.#connection = connection;
  }

  /** The connection, if it is open. */
  get opened(): SharedClient | undefined {
    const { client } = this.#connection;
    return client && this.#shared(client);
  }

  /** Ms until the user may open the connection. */
  get dialDelayMs(): number {
    return this.#connection.dialDelayMs;
  }

  /** The connection, dialled if there is none. Rejects as `Client.open` does; other users may go on waiting for it. */
  async open(options: CallOptions): Promise<SharedClient> {
    return this.#shared(await this.#connection.open(options));
  }

  /** Closes the connection on which a request has failed. It does nothing if that has ended already. */
  drop({ client }: SharedClient, why: string): void {
    this.#connection.drop(client, this, why);
  }

  /** Whether the user is waiting for an answer. */
  isWaitingOn(client: Client): boolean {
    return this.#current?.client === client && this.#current.isWaiting;
  }

  /** Notifies the user. */
  end(client: Client, end: ConnectionEnd): void {
    if (this.#current?.client === client) this.#current.end = end;
    this.user.onEnd(end);
  }

  #shared(client: Client): SharedClient {
    if (this.#current?.client !== client) this.#current = new SharedClient(client, this.#connection);
    return this.#current;
  }
}

/** An open connection as one of its users has it; the same object until it has ended. */
export class SharedClient implements Requester {
  readonly client: Client;
  /** How it ended; undefined while it lasts, and if this user or the server's removal ended it. */
  end: ConnectionEnd | undefined;
  readonly #connection: SharedConnection;
  #unanswered = 0;

  constructor(client: Client, connection: SharedConnection) {
    this.client = client;
    this.#connection = connection;
  }

  get address(): string {
    return this.client.address;
  }

  /** Whether the server has answered that it lacks the method. */
  lacks(method: string): boolean {
    return this.#connection.lacks(method);
  }

  /** Whether a request of this user waits for its answer. */
  get isWaiting(): boolean {
    return this.#unanswered > 0;
  }

  request(method: string, params: object, options: CallOptions): Promise<unknown> {
    this.#unanswered += 1;
    return this.client.request(method, params, options).then(
      (result) => {
        this.#unanswered -= 1;
        this.#connection.learn(this.client, method);
        return result;
      },
      (error: unknown) => {
        this.#unanswered -= 1;
        if (error instanceof RpcError) this.#connection.learn(this.client, method, error);
        throw error;
      },
    );
  }
}
