import { SessionPhase } from '../../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../../api/session.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { Located } from '../model.ts';

/** Whether the session has had a turn, as far as the last status tells. */
export function wasSeen(status: CopilotSessionStatus | undefined): boolean {
  return status?.server !== undefined || status?.usage !== undefined || status?.lastActivityTime !== undefined;
}

/**
 * The phase of a session whose server answers; while it does not, the last phase stays. Expired and Lost stay until the
 * session is there again: a new turn under the id begins a new one.
 */
export function phaseOf(before: CopilotSessionStatus | undefined, located: Located | undefined): SessionPhase {
  if (located !== undefined) return located.facts.activity === 'Active' ? SessionPhase.Active : SessionPhase.Idle;
  if (before?.phase === SessionPhase.Expired || before?.phase === SessionPhase.Lost) return before.phase;
  return wasSeen(before) ? SessionPhase.Lost : SessionPhase.Pending;
}

/** Whether it is another session under the id of one that had gone: what was told of that one is not true of it. */
export function isSuccessor({ status }: CopilotSession, located: Located | undefined): boolean {
  return located !== undefined && hasEnded(status?.phase);
}

/** Whether the data of the session is known to be gone. */
export function hasEnded(phase: SessionPhase | undefined): boolean {
  return phase === SessionPhase.Expired || phase === SessionPhase.Lost;
}
