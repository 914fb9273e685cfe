/** Timer coalescing: long waits end at common points in time, so that an idle process wakes seldom. */

/** From so long a wait on, in ms, its end is rounded up to whole multiples of so much: a fifteenth of it at most. */
const GRAINS = [
  { fromMs: 30_000, grainMs: 2000 },
  { fromMs: 5000, grainMs: 200 },
] as const;

/**
 * When a wait that begins now ends, monotonic ms. Long waits are rounded up, so that those which end close together end
 * at once: to wake an idle process costs more than a ping, and more than half of what two hundred tenants at rest cost.
 */
export function coalescedDeadline(now: number, ms: number): number {
  const grainMs = GRAINS.find(({ fromMs }) => ms >= fromMs)?.grainMs;
  return grainMs === undefined ? now + ms : Math.ceil((now + ms) / grainMs) * grainMs;
}
