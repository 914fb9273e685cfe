/** Remembers what the API server has answered, for a short time, and asks once where many ask at once. */
import { LruMap } from '../../kube/cache/lru.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { Lane, type LaneLimits } from './lane.ts';

/** For whom is asked: a client that is to be admitted, or one that is, and is looked at again. */
export type Asker = 'Newcomer' | 'Connected';

/** How long an answer is believed, and how much is kept. */
export interface VerdictCacheOptions<V> {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly isGood: (verdict: V) => boolean;
  /** ms for which a good answer is believed. */
  readonly goodMs: number;
  /** ms for which any other answer is believed. */
  readonly badMs: number;
  /** Good answers that are kept, and others; a further one takes the place of the one that was not used for the longest time. */
  readonly maxEntries: number;
  /** Each asks without waiting for the other, so that strangers who come in crowds end no connection of anybody. */
  readonly lanes: Readonly<Record<Asker, LaneLimits>>;
}

interface Known<V> {
  readonly verdict: V;
  /** Monotonic ms. */
  readonly until: number;
}

/** Answers by key. An error is an answer to all who wait for it, and to nobody after them. */
export class VerdictCache<V> {
  readonly #options: VerdictCacheOptions<V>;
  /** Apart from the others: whoever makes up tokens fills only those. */
  readonly #good: LruMap<string, Known<V>>;
  readonly #bad: LruMap<string, Known<V>>;
  readonly #lanes: Readonly<Record<Asker, Lane>>;
  readonly #asked: Readonly<Record<Asker, Map<string, Promise<V>>>> = { Newcomer: new Map(), Connected: new Map() };

  constructor(options: VerdictCacheOptions<V>) {
    const { maxEntries, lanes } = options;
    this.#options = options;
    this.#good = new LruMap(maxEntries);
    this.#bad = new LruMap(maxEntries);
    this.#lanes = { Newcomer: new Lane(lanes.Newcomer), Connected: new Lane(lanes.Connected) };
  }

  /** The answer that is known, or what `ask` resolves to. @throws TooManyReviewsError, or what `ask` throws */
  get(key: string, ask: () => Promise<V>, asker: Asker = 'Newcomer'): Promise<V> {
    const known = this.#good.get(key) ?? this.#bad.get(key);
    if (known !== undefined && known.until > this.#options.clock.monotonic()) return Promise.resolve(known.verdict);
    const asked = this.#asked[asker];
    const before = asked.get(key);
    if (before !== undefined) return before;
    const answer = this.#lanes[asker].run(async () => this.#keep(key, await ask())).finally(() => asked.delete(key));
    asked.set(key, answer);
    return answer;
  }

  #keep(key: string, verdict: V): V {
    const { isGood, goodMs, badMs, clock } = this.#options;
    const good = isGood(verdict);
    const [to, from] = good ? [this.#good, this.#bad] : [this.#bad, this.#good];
    from.delete(key);
    to.set(key, { verdict, until: clock.monotonic() + (good ? goodMs : badMs) });
    return verdict;
  }
}
