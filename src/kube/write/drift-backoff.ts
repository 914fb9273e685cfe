/** Back-off from another writer that keeps reverting what the Applier restores. */
import { exponentialDelay } from '../clock/backoff.ts';
import type { Overwrite } from './managed-fields.ts';

/** Writes of one desired state without a wait; further ones mean that another writer keeps reverting it. */
const FREE_WRITES = 3;
const BACKOFF = { baseMs: 1_000, maxMs: 300_000 };
/** After this long without a write the count starts again. */
const QUIET_MS = 600_000;
/** Desired states of one object that are told apart. */
const MAX_STATES = 8;

/** Another writer keeps reverting an object. */
export interface Contest extends Overwrite {
  /** ms until it counts as over, if nothing is reverted again. */
  readonly endsInMs: number;
}

interface Restored {
  /** By the hash of a desired state: how often it was written because another writer had reverted it. */
  writes: Map<string, number>;
  lastHash: string;
  lastAt: number;
  last: Overwrite;
}

/**
 * Keeps two writers that both insist on a field from writing in a loop: the first updates of an object to the same desired state
 * are immediate, each further one waits twice as long as the one before it. All times are monotonic ms.
 *
 * An update counts if another writer is recorded for a field that is not as desired, or if it repeats the one before it. So a user who
 * changes the desired state back and forth does not wait, and a server that is stopped and started again for each revert does not escape.
 */
export class DriftBackoff {
  readonly #restored = new Map<string, Restored>();

  /** ms until `key` may be updated to this state; 0 means now. */
  waitMs(key: string, hash: string, now: number): number {
    const restored = this.#current(key, now);
    const writes = restored?.writes.get(hash) ?? 0;
    if (restored === undefined || writes < FREE_WRITES) return 0;
    const pause = exponentialDelay(BACKOFF, writes - FREE_WRITES);
    return Math.max(0, restored.lastAt + pause - now);
  }

  /** The contest over `key`; undefined: there is none. */
  contest(key: string, now: number): Contest | undefined {
    const restored = this.#current(key, now);
    if (restored === undefined || Math.max(...restored.writes.values()) < FREE_WRITES) return undefined;
    return { ...restored.last, endsInMs: restored.lastAt + QUIET_MS - now };
  }

  /** Remembers an update, and what it reverted. */
  wrote(key: string, hash: string, now: number, overwrite: Overwrite): void {
    for (const [other, { lastAt }] of this.#restored) {
      if (now - lastAt < QUIET_MS) break;
      this.#restored.delete(other);
    }
    const before = this.#restored.get(key);
    const isForeign = overwrite.writers.length > 0;
    const repeats = isForeign || before?.lastHash === hash;
    const count = repeats ? (before?.writes.get(hash) ?? 0) + 1 : 1;
    const writes = new Map([...(before?.writes ?? [])].slice(-MAX_STATES)).set(hash, count);
    // The update that starts a stopped server again reverts nothing: who caused it stays known.
    const last = isForeign || before === undefined ? overwrite : before.last;
    // Deleted first, so that the map stays in the order of `lastAt`.
    this.#restored.delete(key);
    this.#restored.set(key, { writes, lastHash: hash, lastAt: now, last });
  }

  #current(key: string, now: number): Restored | undefined {
    const restored = this.#restored.get(key);
    return restored === undefined || now - restored.lastAt >= QUIET_MS ? undefined : restored;
  }
}
