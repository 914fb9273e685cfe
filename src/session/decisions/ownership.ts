import { SessionConditionType, SessionStalledReason } from '../../api/session-conditions.ts';
import type { SessionFacts } from '../../servers/survey/sessions.ts';
import { findCondition } from '../../kube/write/conditions.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { hasOtherOwner } from './labels.ts';
import type { SessionCause } from '../model.ts';

/**
 * Whose the data under a session's id is. `Own`: the resource's, or nobody's, or there is none. `Another`: another owner is stored
 * beside it. `Unread`: what is stored was not read yet.
 */
export type Ownership = 'Own' | 'Another' | 'Unread';

/**
 * A resource without `spec.owner` claims nothing, so that nothing is refused to it. `answered`: whether all servers that may have
 * the session say what they have. While one does not, what was told last stays: a volume keeps its owner while no server runs.
 */
export function ownershipOf(session: CopilotSession, facts: SessionFacts | undefined, answered: boolean): Ownership {
  if (session.spec.owner === undefined) return 'Own';
  if (facts === undefined) return !answered && isReportedOther(session) ? 'Another' : 'Own';
  if (facts.labels === undefined) return 'Unread';
  return hasOtherOwner(session, facts.labels) ? 'Another' : 'Own';
}

function isReportedOther({ status }: CopilotSession): boolean {
  const stalled = findCondition(status?.conditions, SessionConditionType.Stalled);
  return stalled?.status === 'True' && stalled.reason === SessionStalledReason.OwnedByAnother;
}

/** It does not say whose the data is: that is no matter of whoever may read this resource. */
export function ownedByAnother(session: CopilotSession): SessionCause {
  const { name } = session.metadata;
  const { tenantRef } = session.spec;
  return {
    reason: SessionStalledReason.OwnedByAnother,
    message: `Beside the data of session ${sessionIdOf(session)} of CopilotTenant ${tenantRef.name} another owner is stored than the spec.owner of CopilotSession ${name}, which therefore does not hold it. Delete this resource, which leaves the data alone, and make one with another id or the right spec.owner.`,
  };
}
