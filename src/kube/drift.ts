/** Restorations that happen at once; from then on another writer is taken to be fighting us. */
const FREE_RESTORES = 3;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 300_000;
/** After this long without a restoration the object counts as peaceful again. */
const PEACE_MS = 600_000;

interface Fight {
  /** Hash of the desired state that was restored. */
  hash: string;
  restores: number;
  lastAt: number;
}

/**
 * Keeps two writers who both insist on a field from writing in a loop: the first restorations of an object to one and
 * the same desired state are free, each further one waits twice as long as the one before it.
 */
export class RestoreLimiter {
  readonly #fights = new Map<string, Fight>();

  /** ms to wait before `key` may be restored; 0 means now, and counts as a restoration. `now` is monotonic. */
  take(key: string, hash: string, now: number): number {
    for (const [other, { lastAt }] of this.#fights) {
      if (now - lastAt < PEACE_MS) break;
      this.#fights.delete(other);
    }
    const fight = this.#fights.get(key);
    const restores = fight?.hash === hash ? fight.restores : 0;
    if (fight && restores >= FREE_RESTORES) {
      const wait = Math.min(FIRST_WAIT_MS * 2 ** (restores - FREE_RESTORES), LONGEST_WAIT_MS);
      const remaining = fight.lastAt + wait - now;
      if (remaining > 0) return remaining;
    }
    // Deleted first, so that the map stays in the order of `lastAt`.
    this.#fights.delete(key);
    this.#fights.set(key, { hash, restores: restores + 1, lastAt: now });
    return 0;
  }
}
