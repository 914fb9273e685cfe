/** The phase of a session, and whether it has had a turn, has ended, or is a new one. */
import { SessionPhase } from '../../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../../api/session.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { Located } from '../model.ts';

/** Whether the session has had a turn, according to its last status. */
export function wasSeen(status: CopilotSessionStatus | undefined): boolean {
  return status?.server !== undefined || status?.usage !== undefined || status?.lastActivityTime !== undefined;
}

/**
 * The phase of a session whose server answers; while it does not, the last phase stays. Expired and Lost stay until a new turn under
 * the id starts a new session.
 */
export function phaseOf(before: CopilotSessionStatus | undefined, located: Located | undefined): SessionPhase {
  if (located !== undefined) return located.facts.activity === 'Active' ? SessionPhase.Active : SessionPhase.Idle;
  if (before?.phase === SessionPhase.Expired || before?.phase === SessionPhase.Lost) return before.phase;
  return wasSeen(before) ? SessionPhase.Lost : SessionPhase.Pending;
}

/** Whether it is a new session under the id of one that had ended: the status of that one is not about it. */
export function isSuccessor({ status }: CopilotSession, located: Located | undefined): boolean {
  return located !== undefined && hasEnded(status?.phase);
}

/** Whether the data of the session is known to be gone. */
export function hasEnded(phase: SessionPhase | undefined): boolean {
  return phase === SessionPhase.Expired || phase === SessionPhase.Lost;
}
