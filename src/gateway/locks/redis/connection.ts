/** Keeps a usable connection to Redis: opened with the first use, opened again whenever it is lost, until it is closed. */
import type { Logger } from 'pino';
import { onAbort } from '../../../kube/clock/abort.ts';
import { Backoff } from '../../../kube/clock/backoff.ts';
import type { Clock, Random } from '../../../kube/clock/clock.ts';
import type { AvailabilityBoard } from '../availability.ts';
import { CoordinationUnavailableError } from '../store.ts';
import type { RedisAddress } from './address.ts';
import { judgeInfo } from './checks.ts';
import type { RedisClient } from './client.ts';
import { explainRedis, redisProblem } from './explain.ts';
import { PROBE_KEY } from './keys.ts';

/** How long things may take, in ms. */
export interface RedisTimes {
  /** One operation, the wait for a connection included. */
  readonly operationMs: number;
  /** To connect and to find out whether what is there can be used. */
  readonly connectMs: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
}

export const REDIS_TIMES: RedisTimes = {
  operationMs: 2_000,
  connectMs: 3_000,
  backoff: { baseMs: 100, maxMs: 3_000 },
};

export interface RedisConnectionOptions {
  readonly address: RedisAddress;
  /** A client that is not connected yet. @throws Error if its files cannot be read */
  readonly open: (attempt: number) => RedisClient;
  readonly board: AvailabilityBoard;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly times: RedisTimes;
}

/** A client that can be used, until it has ended. */
interface Usable {
  readonly client: RedisClient;
  ended: CoordinationUnavailableError | undefined;
  readonly whenEnded: Promise<void>;
  readonly tellEnded: () => void;
}

export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #usable: Usable | undefined;
  /** Why the last attempt failed; undefined while the first one after a loss is under way. */
  #problem: CoordinationUnavailableError | undefined;
  #running: Promise<void> | undefined;
  /** Settled by the end of the attempt that is under way. */
  #attempt = Promise.withResolvers<Usable>();
  /** The warnings that were logged. */
  readonly #warned = new Set<string>();

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.times.backoff, options.random);
    this.#attempt.promise.catch(() => undefined);
  }

  /** @throws CoordinationUnavailableError */
  async run<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    const { times, board, address } = this.#options;
    const deadline = this.#options.clock.monotonic() + times.operationMs;
    const usable = await this.#whenUsable(times.operationMs);
    try {
      const left = Math.max(1, deadline - this.#options.clock.monotonic());
      const result = await this.#within(left, command(usable.client), 'no answer');
      board.answered();
      return result;
    } catch (error) {
      // What was under way when the connection was given up has failed for that reason.
      const problem = usable.ended ?? explainRedis(error, address);
      // That is about one key. All else may be mended by a new connection, which looks for itself whether it is.
      if (problem.reason !== 'Unreadable') this.#end(usable, problem);
      throw problem;
    }
  }

  /** How to log in has changed: from now on another connection is used. */
  reopen(): void {
    const { address } = this.#options;
    const problem = redisProblem(address, 'Unreachable', 'its login has changed', 'it is being connected to again');
    if (this.#usable !== undefined) this.#end(this.#usable, problem);
  }

  async close(): Promise<void> {
    const closed = new CoordinationUnavailableError('Closed', 'this process has closed the coordination store');
    this.#problem = closed;
    this.#stop.abort(closed);
    if (this.#usable !== undefined) this.#end(this.#usable, closed);
    await this.#running;
  }

  async #whenUsable(withinMs: number): Promise<Usable> {
    if (this.#usable !== undefined) return this.#usable;
    if (this.#problem !== undefined) throw this.#problem;
    this.#running ??= this.#keepOpen();
    try {
      return await this.#within(withinMs, this.#attempt.promise, 'not connected', this.#stop.signal);
    } catch (error) {
      const problem = explainRedis(error, this.#options.address);
      if (!this.#stop.signal.aborted) this.#options.board.failed(problem);
      throw problem;
    }
  }

  /** It never rejects. */
  async #keepOpen(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const usable = await this.#tryOnce(attempt);
      if (usable === undefined) {
        await clock.sleep(this.#backoff.next(), signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
        });
        continue;
      }
      await usable.whenEnded;
    }
  }

  async #tryOnce(attempt: number): Promise<Usable | undefined> {
    const { board, address, log, open, times } = this.#options;
    let client: RedisClient | undefined;
    try {
      client = open(attempt);
      await this.#within(times.connectMs, this.#examine(client), 'no answer', this.#stop.signal);
      this.#stop.signal.throwIfAborted();
      const { promise: whenEnded, resolve: tellEnded } = Promise.withResolvers<void>();
      const usable: Usable = { client, ended: undefined, whenEnded, tellEnded };
      client.onEnd((error) => this.#end(usable, explainRedis(error, address)));
      if (board.now.state === 'Unavailable') log.info({ redis: address.text }, 'the coordination store answers again');
      this.#usable = usable;
      this.#problem = undefined;
      this.#backoff.reset();
      board.answered();
      this.#attempt.resolve(usable);
      return usable;
    } catch (error) {
      client?.end();
      if (!this.#stop.signal.aborted) this.#failed(explainRedis(error, address));
      return undefined;
    }
  }

  /** @throws Error if it cannot be used */
  async #examine(client: RedisClient): Promise<void> {
    const { address, log } = this.#options;
    await client.connect();
    for (const info of await client.infos()) {
      const { problem, warning } = judgeInfo(info, address.kind === 'Cluster');
      if (problem !== undefined) throw redisProblem(address, problem.reason, problem.what, problem.remedy);
      if (warning === undefined || this.#warned.has(warning)) continue;
      this.#warned.add(warning);
      log.warn({ redis: address.text, problem: warning }, 'the coordination store may lose what gateways rely on');
    }
    // Whether it takes writes, and from this user.
    await client.probe(PROBE_KEY);
  }

  /** At once, so that nobody else waits for an answer of it. */
  #end(usable: Usable, problem: CoordinationUnavailableError): void {
    if (usable.ended !== undefined) return;
    usable.ended = problem;
    usable.client.end();
    this.#usable = undefined;
    this.#nextAttempt();
    if (!this.#stop.signal.aborted) {
      this.#options.board.failed(problem);
      this.#options.log.warn({ reason: problem.reason, error: problem.message }, 'the coordination store was lost');
    }
    usable.tellEnded();
  }

  #failed(problem: CoordinationUnavailableError): void {
    const { board, log } = this.#options;
    if (this.#problem?.message !== problem.message)
      log.warn({ reason: problem.reason, error: problem.message }, 'the coordination store cannot be used');
    this.#problem = problem;
    board.failed(problem);
    this.#attempt.reject(problem);
    this.#nextAttempt();
  }

  #nextAttempt(): void {
    this.#attempt = Promise.withResolvers<Usable>();
    // Nobody may be waiting for it.
    this.#attempt.promise.catch(() => undefined);
  }

  /** `stop`: for what the end of the client does not end. */
  async #within<T>(ms: number, work: Promise<T>, what: string, stop?: AbortSignal): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = this.#options.clock.setTimer(ms, () => late.reject(new Error(`${what} within ${Math.round(ms)} ms`)));
    using _stop = onAbort(stop, (reason) => late.reject(reason));
    // Whoever loses the race may fail later, and nobody needs to know.
    work.catch(() => undefined);
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      timer.cancel();
    }
  }
}
