import type { UnhealthyReason } from '../copilot/errors.ts';

/** No server waits longer than this for the next try, however long its interval is. */
const LONGEST_RETRY_MS = 30_000;
const SHORTEST_RETRY_MS = 200;

/**
 * How long after a failed look at a server the next one follows. A server that can't be reached, perhaps because it is starting, is
 * tried again after a quarter of the time it has been away: it is found again soon, and given up to the slow pace of the
 * interval when it stays away. The other failures are answers, which come no different for asking sooner.
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

/** 0.9 to 1.1 times `ms`, so that servers that started together do not stay together. */
export function jittered(ms: number, random: () => number): number {
  return ms * (0.9 + random() * 0.2);
}
