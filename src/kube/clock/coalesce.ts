/** Timer coalescing: long waits end at common points in time, so that an idle process wakes seldom. */

/** The end of a wait of at least `fromMs` is rounded up to a multiple of `grainMs`, by a fifteenth of the wait at most. */
const GRAINS = [
  { fromMs: 30_000, grainMs: 2000 },
  { fromMs: 5000, grainMs: 200 },
] as const;

/**
 * When a wait that begins now ends, monotonic ms. Long waits are rounded up, so that those which end close together end
 * together: waking an idle process costs more than a ping, and is more than half of what two hundred idle tenants cost.
 */
export function coalescedDeadline(now: number, ms: number): number {
  const grainMs = GRAINS.find(({ fromMs }) => ms >= fromMs)?.grainMs;
  return grainMs === undefined ? now + ms : Math.ceil((now + ms) / grainMs) * grainMs;
}
