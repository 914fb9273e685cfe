/** Places for questions that are asked at the same time. Those of one lane wait for each other, and never for those of another one. */

/** How many questions there may be. */
export interface LaneLimits {
  /** Questions that are asked at the same time. */
  readonly maxRunning: number;
  /** Questions that wait for their turn; one more is refused. */
  readonly maxWaiting: number;
}

/** There are too many questions under way: this one was not asked. */
export class TooManyReviewsError extends Error {
  override readonly name = 'TooManyReviewsError';
}

/** Asks in order, a bounded number at once. */
export class Lane {
  readonly #limits: LaneLimits;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /** What `ask` resolves to, when it is its turn. @throws TooManyReviewsError, or what `ask` throws */
  async run<T>(ask: () => Promise<T>): Promise<T> {
    await this.#turn();
    try {
      return await ask();
    } finally {
      // Whoever waits takes over the place as it is.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #turn(): Promise<void> {
    const { maxRunning, maxWaiting } = this.#limits;
    if (this.#running < maxRunning) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= maxWaiting) {
      throw new TooManyReviewsError(`${maxWaiting} tokens wait for their review: try again later`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
  }
}
