/** The back-off after a failed check or poll. */
import type { UnhealthyReason } from '../copilot/errors.ts';

/** The longest time to the next try, however long the interval is. */
const LONGEST_RETRY_MS = 30_000;
const SHORTEST_RETRY_MS = 200;

/**
 * The time from a failed check or poll to the next one. A server that can't be reached, perhaps because it is starting, is tried
 * again after a quarter of the time that it has been unreachable: soon at first, then at the pace of the interval. After the
 * other failures a try before the interval would find nothing different.
 */
export function retryDelay(
  reason: UnhealthyReason,
  {
    awayMs,
    intervalMs,
    random,
  }: { readonly awayMs: number; readonly intervalMs: number; readonly random: () => number },
): number {
  const longest = Math.min(intervalMs, LONGEST_RETRY_MS);
  if (reason !== 'Unreachable') return jittered(longest, random);
  return jittered(Math.min(Math.max(awayMs / 4, SHORTEST_RETRY_MS), longest), random);
}

/** 0.9 to 1.1 times `ms`, so that servers that were added together are not checked together for ever. */
export function jittered(ms: number, random: () => number): number {
  return ms * (0.9 + random() * 0.2);
}
