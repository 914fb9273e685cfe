/** Decides what the status of a session says of whose turn it is. */
import type { CopilotSessionStatus } from '../../api/session.ts';
import { timestamp } from '../../kube/types/time.ts';
import type { CopilotSession } from '../../resources/session.ts';

/** A turn that a user holds, as the gateway says. */
export interface FoundLock {
  readonly holder: string;
  readonly epoch: number;
  /** Wall clock, ms. */
  readonly since: number;
}

/** As the CRD allows. */
const MAX_HOLDER = 256;
/** What a terminal would not show as text: controls, formats such as a change of direction, and separators of lines. */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** The same lock may be told with a begin that differs by this much, in ms: each process computes it from how long it is held. */
const SAME_MS = 60_000;

/** `found`: undefined if nobody holds the turn, `Unknown` if the gateway has not said it yet. */
export function lockStatus(
  { spec, status }: CopilotSession,
  found: FoundLock | 'Unknown' | undefined,
): CopilotSessionStatus['lock'] | undefined {
  if (spec.collaboration?.turns === undefined || found === undefined) return undefined;
  const before = status?.lock;
  if (found === 'Unknown') return before;
  const { epoch } = found;
  const holder = shown(found.holder);
  const isSame =
    before?.holder === holder && before.epoch === epoch && Math.abs(Date.parse(before.since) - found.since) < SAME_MS;
  return isSame ? before : { holder, since: timestamp(found.since), epoch };
}

/** Names of users may be any text. Half a pair of surrogates would be stored as another character, and be written again and again. */
function shown(holder: string): string {
  const text = holder.toWellFormed().replace(UNSHOWN, '\uFFFD');
  // By characters, as the API server counts them.
  return Array.from(text).slice(0, MAX_HOLDER).join('');
}
