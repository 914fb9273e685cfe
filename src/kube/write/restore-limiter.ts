/** Writes of one desired state that happen at once; from then on another writer is taken to be fighting us. */
const FREE_WRITES = 3;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 300_000;
/** After this long without a write the object counts as peaceful again. */
const PEACE_MS = 600_000;

interface Fight {
  /** Hash of the desired state that was written. */
  hash: string;
  writes: number;
  lastAt: number;
}

/**
 * Keeps two writers who both insist on a field from writing in a loop: the first updates of an object to one and the same
 * desired state are free, each further one waits twice as long as the one before it. All times are monotonic ms.
 */
export class RestoreLimiter {
  readonly #fights = new Map<string, Fight>();

  /** ms until `key` may be updated to this state; 0 means now. */
  waitMs(key: string, hash: string, now: number): number {
    const fight = this.#fights.get(key);
    if (fight?.hash !== hash || fight.writes < FREE_WRITES || now - fight.lastAt >= PEACE_MS) return 0;
    const pause = Math.min(FIRST_WAIT_MS * 2 ** (fight.writes - FREE_WRITES), LONGEST_WAIT_MS);
    return Math.max(0, fight.lastAt + pause - now);
  }

  /** Remembers an update. */
  wrote(key: string, hash: string, now: number): void {
    for (const [other, { lastAt }] of this.#fights) {
      if (now - lastAt < PEACE_MS) break;
      this.#fights.delete(other);
    }
    const fight = this.#fights.get(key);
    // Deleted first, so that the map stays in the order of `lastAt`.
    this.#fights.delete(key);
    this.#fights.set(key, { hash, writes: fight?.hash === hash ? fight.writes + 1 : 1, lastAt: now });
  }
}
