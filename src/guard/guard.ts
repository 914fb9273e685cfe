/** The guard: accepts connections, and makes one to the server for each. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Clock } from '../kube/clock/clock.ts';
import { listen, type Address } from '../kube/runtime/listen.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import { socketLine } from './line.ts';
import { Pair, type PairObserver } from './pair.ts';
import { PartialFrames } from './partial-frames.ts';
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
  /** Connections at once; default {@link MOST_CONNECTIONS}. */
  readonly mostConnections?: number;
}

/** Connections at once: the gateway has one, the operator one, and each Job one. */
const MOST_CONNECTIONS = 1_000;
/** Bytes of frames that have not arrived in full, of all connections: one of the largest, and some more. */
const MOST_PARTIAL_BYTES = 80 * 1024 * 1024;
/** As between gateway and servers. */
const KEEPALIVE_MS = 60_000;
const SOCKET = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS } as const;

export class Guard {
  readonly #options: GuardOptions;
  readonly #server: Server;
  /** The one first that has said nothing for the longest time. */
  readonly #pairs = new Set<Pair>();
  readonly #partial = new PartialFrames(MOST_PARTIAL_BYTES);
  readonly #refusals: RefusalLog;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options.log, options.clock);
    this.#server = createServer(SOCKET, (socket) => this.#accept(socket));
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

  #accept(socket: Socket): void {
    const { server, sessions, readGrant } = this.#options;
    if (!this.#makeRoom()) return void socket.destroy();
    const pair: Pair = new Pair({
      client: (events) => socketLine(socket, events),
      dial: (events) => socketLine(connect({ ...SOCKET, ...server }), events),
      sessions,
      readGrant,
      observer: this.#observer(() => pair),
    });
    this.#pairs.add(pair);
  }

  /** Whoever reaches the port can open connections: they keep nobody out who has a key of grants, or has just come. */
  #makeRoom(): boolean {
    const { mostConnections = MOST_CONNECTIONS } = this.#options;
    if (this.#pairs.size < mostConnections) return true;
    for (const pair of this.#pairs) {
      if (pair.isGranted) continue;
      this.#pairs.delete(pair);
      pair.drop(`there are more than ${mostConnections} connections, and this one was silent for the longest time`);
      return true;
    }
    return false;
  }

  /** The pair is not there yet when it is made. */
  #observer(pairOf: () => Pair): PairObserver {
    const { log, unreachable } = this.#options;
    return {
      unreachable,
      heard: (partialBytes) => {
        const pair = pairOf();
        this.#partial.hold(pair, partialBytes);
        if (this.#pairs.delete(pair)) this.#pairs.add(pair);
      },
      refused: (method, refusal) => this.#refusals.refused(method, refusal),
      broken: (side, message) => log.warn({ side }, `closed a connection: ${message}`),
      ended: () => {
        this.#partial.hold(pairOf(), 0);
        this.#pairs.delete(pairOf());
      },
    };
  }
}
