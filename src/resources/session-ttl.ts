/** How long sessions live: the rules that the operator and the cleanup share. */
import { durationMs } from '../api/duration.ts';
import type { CopilotSession } from './session.ts';

const MINUTE_MS = 60_000;
/** `spec.ttl` of an Ephemeral session without one, in ms. */
const EPHEMERAL_TTL_MS = 60 * MINUTE_MS;
/** Tolerated difference between two clocks of a cluster, in ms. */
export const CLOCK_SKEW_MS = 10 * MINUTE_MS;

/** How long after its last activity the session is removed, in ms; undefined for never. */
export function ttlOf({ ttl, lifecycle }: CopilotSession['spec']): number | undefined {
  if (ttl !== undefined) return durationMs(ttl);
  return lifecycle === 'Ephemeral' ? EPHEMERAL_TTL_MS : undefined;
}

/**
 * How much longer than its TTL a session is kept, in ms, because the server's clock wrote its times and another one reads them. A short
 * TTL has a short margin, else a TTL of one minute would mean eleven.
 */
export function clockMargin(ttlMs: number): number {
  return Math.min(CLOCK_SKEW_MS, ttlMs);
}
