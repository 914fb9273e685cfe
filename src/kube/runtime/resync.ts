/**
 * The periodic resync, as controller-runtime's SyncPeriod: the safety net for a change that was lost by a bug. It costs no
 * request: what the cache has is reconciled once more.
 */
import type { Clock, Random } from '../clock/clock.ts';
import { fromKey, type NamespacedName } from '../types/types.ts';

/** Periods differ by a tenth in either direction, and the keys of one are spread over a tenth of it: replicas and keys never come together. */
const JITTER = 0.1;

/** What to reconcile again, and how often. */
export interface ResyncOptions {
  clock: Clock;
  random: Random;
  periodMs: number;
  /** All keys that there are. */
  keys: () => Iterable<string>;
  enqueueAfter: (request: NamespacedName, delayMs: number) => void;
}

/** Enqueues every key once in each period, until `stop` aborts. It never rejects. */
export async function resync(
  { clock, random, periodMs, keys, enqueueAfter }: ResyncOptions,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    await clock.sleep(periodMs * (1 - JITTER + 2 * JITTER * random()), stop).catch(() => undefined); // rejects only at the stop
    if (stop.aborted) return;
    // A key that is due earlier stays so: a resync of what is reconciled every minute anyway is free.
    for (const key of keys()) enqueueAfter(fromKey(key), periodMs * JITTER * random());
  }
}
