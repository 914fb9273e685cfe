/** Remembers what the API server has answered, for a short time, and asks once where many ask at once. */
import { LruMap } from '../../kube/cache/lru.ts';
import type { Clock } from '../../kube/clock/clock.ts';

/** How long an answer is believed, and how much is kept. */
export interface VerdictCacheOptions<V> {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** ms for which an answer is believed. */
  readonly ttlMs: (verdict: V) => number;
  /** Answers that are kept; a further one takes the place of the one that was not used for the longest time. */
  readonly maxEntries: number;
  /** Questions that are asked at the same time. */
  readonly maxRunning: number;
  /** Questions that wait for their turn; one more is refused. */
  readonly maxWaiting: number;
}

/** There are too many questions under way: this one was not asked. */
export class TooManyReviewsError extends Error {
  override readonly name = 'TooManyReviewsError';
}

/** Answers by key. An error is an answer to all who wait for it, and to nobody after them. */
export class VerdictCache<V> {
  readonly #options: VerdictCacheOptions<V>;
  readonly #known: LruMap<string, { readonly verdict: V; readonly until: number }>;
  readonly #asked = new Map<string, Promise<V>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: VerdictCacheOptions<V>) {
    this.#options = options;
    this.#known = new LruMap(options.maxEntries);
  }

  /** The answer that is known, or what `ask` resolves to. @throws TooManyReviewsError, or what `ask` throws */
  get(key: string, ask: () => Promise<V>): Promise<V> {
    const known = this.#known.get(key);
    if (known !== undefined && known.until > this.#options.clock.monotonic()) return Promise.resolve(known.verdict);
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked;
    const answer = this.#ask(key, ask).finally(() => this.#asked.delete(key));
    this.#asked.set(key, answer);
    return answer;
  }

  async #ask(key: string, ask: () => Promise<V>): Promise<V> {
    await this.#turn();
    try {
      const verdict = await ask();
      this.#known.set(key, { verdict, until: this.#options.clock.monotonic() + this.#options.ttlMs(verdict) });
      return verdict;
    } finally {
      // Whoever waits takes over the place as it is.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #turn(): Promise<void> {
    const { maxRunning, maxWaiting } = this.#options;
    if (this.#running < maxRunning) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= maxWaiting) {
      throw new TooManyReviewsError(`${maxWaiting} tokens wait for their review by the API server: try again later`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
  }
}
