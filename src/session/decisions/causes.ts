/** Why a session can't get on until a user acts, each with what was found and what to do. */
import { SessionStalledReason } from '../../api/session-conditions.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { SessionCause } from '../model.ts';

/** `tenant`: the one that is being deleted; undefined when there is none. */
export function tenantNotFound(session: CopilotSession, tenant: CopilotTenant | undefined): SessionCause {
  const { name } = session.spec.tenantRef;
  const { namespace = '' } = session.metadata;
  return {
    reason: SessionStalledReason.TenantNotFound,
    message:
      tenant === undefined
        ? `There is no CopilotTenant ${name} in namespace ${namespace}. Make it, or make the session anew with the right name.`
        : `CopilotTenant ${name} is being deleted. Make it again, or delete the session.`,
  };
}

/** `holder`: the older resource, which holds the id. */
export function duplicateSessionId(session: CopilotSession, { metadata: { name } }: CopilotSession): SessionCause {
  const tenant = session.spec.tenantRef.name;
  return {
    reason: SessionStalledReason.DuplicateSessionId,
    message: `CopilotSession ${name} is older and holds the id ${sessionIdOf(session)} of CopilotTenant ${tenant}. Delete this one, or give it another id. To delete ${name} deletes the session's data too, unless its deletionPolicy is Retain or the data is another owner's.`,
  };
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
