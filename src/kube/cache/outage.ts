/**
 * Notices when an API server that could not be reached answers again: one cheap probe for all reflectors, instead of a
 * back-off for each that may last half a minute beyond the outage.
 */
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import { Backoff, type BackoffOptions } from '../clock/backoff.ts';
import type { Clock, Random } from '../clock/clock.ts';
import { toError } from '../types/errors.ts';
import type { KubeClient } from '../client/client.ts';

/** Between two probes. They stop with the first one that is answered, or when nobody waits any more. */
const PROBE_BACKOFF: BackoffOptions = { baseMs: 250, maxMs: 1_500 };
/** How long one probe may take, ms: a server that is well answers within milliseconds. */
const PROBE_DEADLINE_MS = 2_000;
/** Those who waited go on within so many ms of the return, each at a random moment: they must not all come at once. */
const SPREAD_MS = 1_000;

/** What is needed to probe. */
export interface OutageOptions {
  client: Pick<KubeClient, 'ready'>;
  clock: Clock;
  random: Random;
  log?: Logger | undefined;
}

/**
 * The outages of the API server, and waits that end early when one is over. It is over only if a probe failed before: a server that
 * answers, and still cuts our connections, is called no more often than the back-off of the caller says.
 */
export class Outage {
  readonly #options: OutageOptions;
  readonly #waiting = new Set<() => void>();
  readonly #listeners: (() => void)[] = [];
  #returns = 0;
  /** A probe has failed since the last return. */
  #down = false;
  #probing: AbortController | undefined;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  /** How many outages are over. An attempt that began before the last one was over says nothing of the server as it is now. */
  get returns(): number {
    return this.#returns;
  }

  /** Calls `listener` when an outage is over. */
  onReturn(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * After how many ms a reconcile that failed during an outage is retried: when the reflectors have continued, which also find out whether
   * the server was restored from a backup.
   */
  retryAfterMs(): number {
    return SPREAD_MS + this.#spreadMs();
  }

  /**
   * Waits for `ms` after a connection error, less if an outage is over. Returns whether one is, since `returns` was `before`. It never
   * rejects: it ends early when `signal` aborts.
   */
  async wait(ms: number, before: number, signal: AbortSignal): Promise<boolean> {
    if (this.#returns === before) await this.#waitForReturn(ms, signal);
    if (this.#returns === before) return false;
    await this.#options.clock.sleep(this.#spreadMs(), signal).catch(() => undefined); // rejects only when the caller stops
    return true;
  }

  async #waitForReturn(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.setTimer(ms, resolve);
    using _abort = onAbort(signal, () => resolve());
    this.#waiting.add(resolve);
    if (this.#probing === undefined) void this.#probe((this.#probing = new AbortController()));
    await promise;
    timer.cancel();
    this.#waiting.delete(resolve);
    if (this.#waiting.size === 0) this.#stopProbing();
  }

  #spreadMs(): number {
    return this.#options.random() * SPREAD_MS;
  }

  #stopProbing(): void {
    this.#probing?.abort();
    this.#probing = undefined;
  }

  /** Probes until the server answers, or nobody waits any more. */
  async #probe({ signal }: AbortController): Promise<void> {
    const { client, clock, random, log } = this.#options;
    const backoff = new Backoff(PROBE_BACKOFF, random);
    while (!signal.aborted) {
      try {
        await clock.sleep(backoff.next(), signal);
        await client.ready({ signal, deadlineMs: PROBE_DEADLINE_MS });
        this.answered();
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#down) log?.warn({ err: toError(error) }, 'the API server does not answer; probing until it does');
        this.#down = true;
      }
    }
  }

  /** The server has answered a request: the probe, or that of a reflector whose back-off happened to end first. */
  answered(): void {
    const { log } = this.#options;
    this.#stopProbing();
    if (!this.#down) return;
    this.#down = false;
    this.#returns += 1;
    log?.info('the API server answers again');
    const waiting = [...this.#waiting];
    for (const wake of waiting) wake();
    for (const listener of this.#listeners) listener();
  }
}
