/** The causes why a session needs a user's action, each with what was found and what to do. */
import { SessionStalledReason } from '../../api/session-conditions.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { Located, ServerView, SessionCause } from '../model.ts';

/** `tenant`: the one that is being deleted; undefined when there is none. */
export function tenantNotFound(session: CopilotSession, tenant: CopilotTenant | undefined): SessionCause {
  const { name } = session.spec.tenantRef;
  const { namespace = '' } = session.metadata;
  return {
    reason: SessionStalledReason.TenantNotFound,
    message:
      tenant === undefined
        ? `CopilotTenant ${name} does not exist in namespace ${namespace}. Create it, or recreate this CopilotSession with the right spec.tenantRef.`
        : `CopilotTenant ${name} is being deleted. Recreate it, or delete this CopilotSession.`,
  };
}

/** `holder`: the older resource, which holds the id. */
export function duplicateSessionId(session: CopilotSession, holder: CopilotSession): SessionCause {
  const { name } = holder.metadata;
  const id = sessionIdOf(session);
  return {
    reason: SessionStalledReason.DuplicateSessionId,
    message: `The older CopilotSession ${name} holds session id ${id} of CopilotTenant ${session.spec.tenantRef.name}. Delete this CopilotSession, or recreate it with another spec.sessionId. Deleting ${name} also deletes the session's data, unless its spec.deletionPolicy is Retain or the data has another owner.`,
  };
}

/** The message does not name the stored owner: a user who may read this resource must not learn who owns the sessions of others. */
export function ownedByAnother(session: CopilotSession): SessionCause {
  const { name } = session.metadata;
  return {
    reason: SessionStalledReason.OwnedByAnother,
    message: `The data of session ${sessionIdOf(session)} of CopilotTenant ${session.spec.tenantRef.name} has a different owner than spec.owner of CopilotSession ${name}, so this CopilotSession neither changes nor deletes it. Delete this CopilotSession, and create one with another spec.sessionId or the right spec.owner. The data is kept.`,
  };
}

/** `kept`: the server that does not answer and whose volume has the session; `copies`: where it is too. */
export function onVolumeToo(session: CopilotSession, copies: readonly Located[], kept: ServerView): SessionCause {
  const id = sessionIdOf(session);
  const tenant = session.spec.tenantRef.name;
  const others = copies.map(({ server }) => server.name);
  const verb = others.length > 1 ? 'have' : 'has';
  const start = kept.surplus
    ? `increase spec.replicas of CopilotTenant ${tenant} to at least ${kept.index + 1}`
    : `wait until server ${kept.name} answers`;
  return {
    reason: SessionStalledReason.OnSeveralServers,
    message: `The session was last seen on server ${kept.name}, which does not answer, and PersistentVolumeClaim ${kept.name} keeps its data; server ${others.join(' and ')} ${verb} data of session ${id} too. The operator removes none of the copies. To choose, ${start}, and delete the copy that is not needed with deleteSession of the Copilot SDK. To give up the kept one, delete PersistentVolumeClaim ${kept.name} with all its sessions.`,
  };
}

/** `servers`: names of those that have data under the id. */
export function onSeveralServers(session: CopilotSession, servers: readonly string[]): SessionCause {
  const id = sessionIdOf(session);
  return {
    reason: SessionStalledReason.OnSeveralServers,
    message: `Servers ${servers.join(' and ')} of CopilotTenant ${session.spec.tenantRef.name} have data of session ${id}. The operator removes none of the copies. Delete the copies that are not needed through their servers, with deleteSession of the Copilot SDK.`,
  };
}
