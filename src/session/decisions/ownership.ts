/** Whether the data under a session's id has the owner in `spec.owner`. */
import { SessionConditionType, SessionStalledReason } from '../../api/session-conditions.ts';
import type { SessionFacts } from '../../servers/survey/sessions.ts';
import { findCondition } from '../../kube/write/conditions.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { Ownership } from '../model.ts';
import { hasOtherOwner } from './labels.ts';

/**
 * A resource without `spec.owner` holds only data without an owner. `answered`: whether all servers that may have the session
 * answer. While one does not, the last report stays: a volume keeps its owner while no server runs.
 */
export function ownershipOf(session: CopilotSession, facts: SessionFacts | undefined, answered: boolean): Ownership {
  if (facts === undefined) return !answered && isReportedOther(session) ? 'Another' : 'Own';
  if (facts.labels === undefined) return 'Unread';
  return hasOtherOwner(session, facts.labels) ? 'Another' : 'Own';
}

function isReportedOther({ status }: CopilotSession): boolean {
  const stalled = findCondition(status?.conditions, SessionConditionType.Stalled);
  return stalled?.status === 'True' && stalled.reason === SessionStalledReason.OwnedByAnother;
}
