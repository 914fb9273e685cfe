/** How long sessions live: what the operator, the cleanup and the ConfigMap between them have to agree on. */
import { durationMs } from '../api/duration.ts';
import type { CopilotSession } from './session.ts';

const MINUTE_MS = 60_000;
/** `spec.ttl` of an Ephemeral session that states none, in ms. */
const EPHEMERAL_TTL_MS = 60 * MINUTE_MS;
/** How far two clocks of a cluster may be apart without harm, in ms. */
export const CLOCK_SKEW_MS = 10 * MINUTE_MS;

/** How long after its last activity the session is removed, in ms; undefined for never. */
export function ttlOf({ ttl, lifecycle }: CopilotSession['spec']): number | undefined {
  if (ttl !== undefined) return durationMs(ttl);
  return lifecycle === 'Ephemeral' ? EPHEMERAL_TTL_MS : undefined;
}

/**
 * How much longer than its TTL a session is kept, in ms, where the clock that wrote its times is the server's and the one
 * that reads them is not. A short TTL keeps the margin short, else a TTL of a minute would mean eleven.
 */
export function clockMargin(ttlMs: number): number {
  return Math.min(CLOCK_SKEW_MS, ttlMs);
}
