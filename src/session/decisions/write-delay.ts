/** How often a session's status is written. */
import { isDeepStrictEqual } from 'node:util';
import { SessionPhase } from '../../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../../api/session.ts';

/** Shortest time between two writes of a status in which only gradual fields changed, in ms. */
export const MIN_WRITE_INTERVAL_MS = 30_000;

/** Fields that change all the time while a session is used: no user acts on a single step of them. */
const gradual = new Set<string>([
  'lastActivityTime',
  'sizeBytes',
  'usage',
  'expiresAt',
  'lock',
] satisfies (keyof CopilotSessionStatus)[]);

/**
 * How long the write of a changed status waits, in ms. What users act on, and the end of a turn, is written at once; anything else
 * at most twice a minute for each session. `lastWrite`, monotonic ms: when this process last wrote it.
 */
export function writeDelay(
  before: CopilotSessionStatus | undefined,
  after: CopilotSessionStatus,
  lastWrite: number | undefined,
  now: number,
): number {
  const keys = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]) as Set<keyof CopilotSessionStatus>;
  const changed = [...keys].filter((key) => !isDeepStrictEqual(before?.[key], after[key]));
  if (changed.some((key) => !gradual.has(key))) return 0;
  if (changed.includes('usage') && after.phase !== SessionPhase.Active) return 0;
  return Math.max(0, (lastWrite ?? -Infinity) + MIN_WRITE_INTERVAL_MS - now);
}
