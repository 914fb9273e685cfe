/** Timestamps as the API server reads them. */

/** metav1.Time of wall-clock ms: RFC 3339 in whole seconds, as the API server stores it. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** metav1.MicroTime of wall-clock ms: with exactly six digits; API servers refuse the three that JavaScript writes. */
export function microTimestamp(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

/** How far the clock of another machine may be ahead, in ms. */
const MAX_AHEAD_MS = 60_000;

/**
 * How many of the `ms` after a recorded time are left; 0: none, or it is not known since when they count. A time that is further ahead than the
 * clocks of two machines are apart was recorded before the clock was set back.
 */
export function msLeft(since: number, ms: number, now: number): number {
  const left = since + ms - now;
  return left > 0 && left <= ms + MAX_AHEAD_MS ? Math.min(left, ms) : 0;
}
