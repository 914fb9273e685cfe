/** Which session a CopilotSession is about, and how CopilotSessions are looked up by it. */
import type { Indexers } from '../kube/cache/store.ts';
import { keyOf } from '../kube/types/types.ts';
import type { CopilotSession } from './session.ts';

/** Name of the index by tenant; its values are keys of tenants. */
export const BY_TENANT = 'sessions-by-tenant';
/** Name of the index by tenant and session id; its values are those of {@link idKey}. */
export const BY_ID = 'sessions-by-id';

/** The id of the session on its server. */
export function sessionIdOf({ spec, metadata }: CopilotSession): string {
  return spec.sessionId ?? metadata.name;
}

/** The key of the tenant that the session names, whether it exists or not. */
export function tenantKeyOf({ spec, metadata }: CopilotSession): string {
  return keyOf({ namespace: metadata.namespace ?? '', name: spec.tenantRef.name });
}

/** Value of {@link BY_ID}. Neither a tenant's key nor an id has a space. */
export function idKey(tenantKey: string, sessionId: string): string {
  return `${tenantKey} ${sessionId}`;
}

/** The indexers that the informer of CopilotSession must have. */
export const SESSION_INDEXERS: Indexers<CopilotSession> = {
  [BY_TENANT]: (session) => [tenantKeyOf(session)],
  [BY_ID]: (session) => [idKey(tenantKeyOf(session), sessionIdOf(session))],
};
