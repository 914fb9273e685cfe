/** The guard: accepts connections, and makes one to the server for each. */
import { connect, createServer, type Server } from 'node:net';
import type { Logger } from 'pino';
import type { Clock } from '../kube/clock/clock.ts';
import { listen, type Address } from '../kube/runtime/listen.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import { socketLine } from './line.ts';
import { Pair, type PairObserver } from './pair.ts';
import { RefusalLog } from './refusal-log.ts';
import type { Sessions } from './sessions.ts';

export interface GuardOptions {
  readonly listen: Address;
  /** The CLI, on loopback. */
  readonly server: { readonly host: string; readonly port: number };
  readonly sessions: Sessions;
  /** @throws InvalidGrantError */
  readonly readGrant: (text: unknown) => SessionGrant;
  /** A connection to the server has failed. */
  readonly unreachable: () => void;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly log: Logger;
}

/** Connections at once: the gateway has one, the operator one, and each Job one. */
const MOST_CONNECTIONS = 1_000;
/** As between gateway and servers. */
const KEEPALIVE_MS = 60_000;
const SOCKET = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS } as const;

export class Guard {
  readonly #options: GuardOptions;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #refusals: RefusalLog;

  constructor(options: GuardOptions) {
    this.#options = options;
    const { server, sessions, readGrant, log, clock } = options;
    this.#refusals = new RefusalLog(log, clock);
    this.#server = createServer(SOCKET, (socket) => {
      const pair: Pair = new Pair({
        client: (events) => socketLine(socket, events),
        dial: (events) => socketLine(connect({ ...SOCKET, ...server }), events),
        sessions,
        readGrant,
        observer: this.#observer(() => this.#pairs.delete(pair)),
      });
      this.#pairs.add(pair);
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** Connections of clients, and those whose last call the server has yet to answer. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Resolves to the port; rejects if it is in use. */
  listen(): Promise<number> {
    const { log } = this.#options;
    return listen(this.#server, this.#options.listen, (error) =>
      log.error({ err: error }, 'failed to accept a connection'),
    );
  }

  /** Accepts nothing more, and closes what there is. */
  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const pair of this.#pairs) pair.destroy();
    return promise;
  }

  #observer(ended: () => void): PairObserver {
    const { log, unreachable } = this.#options;
    return {
      unreachable,
      refused: (method, refusal) => this.#refusals.refused(method, refusal),
      broken: (side, message) => log.warn({ side }, `closed a connection: ${message}`),
      ended,
    };
  }
}
