/** Exponential back-off: the one formula of every wait that doubles with each failure. */
import type { Random } from './clock.ts';

/** The limits of an exponential back-off. */
export interface BackoffOptions {
  /** ms: the first delay, before any jitter. */
  readonly baseMs: number;
  /** ms: no delay is longer, jitter included. */
  readonly maxMs: number;
}

/** ms to wait after `failures` earlier ones: `baseMs`, doubled for each of them, and `maxMs` at most. */
export function exponentialDelay({ baseMs, maxMs }: BackoffOptions, failures: number): number {
  return Math.min(baseMs * 2 ** failures, maxMs);
}

/** client-go's values for a broken watch or list: 0.8 s, doubled with each failure, 30 s at most. */
export const WATCH_BACKOFF: BackoffOptions = { baseMs: 800, maxMs: 30_000 };

/**
 * Exponential delays with full-width jitter: the n-th is between `base * 2^n` and twice that. The delays keep
 * their jitter at the upper end too ([max/2, max]): a thousand clients of an API server that recovers must not all return at once.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: Random;
  #failures = 0;

  constructor(options: BackoffOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  /** ms to wait now; the next call returns a longer delay. */
  next(): number {
    const { baseMs, maxMs } = this.#options;
    const floor = exponentialDelay({ baseMs, maxMs: maxMs / 2 }, this.#failures);
    this.#failures += 1;
    return floor * (1 + this.#random());
  }

  reset(): void {
    this.#failures = 0;
  }
}
