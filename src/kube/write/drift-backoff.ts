/** Back-off from another writer that keeps reverting what the Applier restores. */
import { exponentialDelay } from '../clock/backoff.ts';

/** Writes of one desired state without a wait; further ones mean that another writer keeps reverting it. */
const FREE_WRITES = 3;
const BACKOFF = { baseMs: 1_000, maxMs: 300_000 };
/** After this long without a write the count starts again. */
const QUIET_MS = 600_000;

interface Restored {
  /** Hash of the desired state that was written. */
  hash: string;
  writes: number;
  lastAt: number;
}

/**
 * Keeps two writers that both insist on a field from writing in a loop: the first updates of an object to the same desired state
 * are immediate, each further one waits twice as long as the one before it. All times are monotonic ms.
 */
export class DriftBackoff {
  readonly #restored = new Map<string, Restored>();

  /** ms until `key` may be updated to this state; 0 means now. */
  waitMs(key: string, hash: string, now: number): number {
    const restored = this.#restored.get(key);
    if (restored?.hash !== hash || restored.writes < FREE_WRITES || now - restored.lastAt >= QUIET_MS) return 0;
    const pause = exponentialDelay(BACKOFF, restored.writes - FREE_WRITES);
    return Math.max(0, restored.lastAt + pause - now);
  }

  /** Remembers an update. */
  wrote(key: string, hash: string, now: number): void {
    for (const [other, { lastAt }] of this.#restored) {
      if (now - lastAt < QUIET_MS) break;
      this.#restored.delete(other);
    }
    const restored = this.#restored.get(key);
    // Deleted first, so that the map stays in the order of `lastAt`.
    this.#restored.delete(key);
    this.#restored.set(key, { hash, writes: restored?.hash === hash ? restored.writes + 1 : 1, lastAt: now });
  }
}
