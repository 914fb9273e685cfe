/** The one policy on who may remove the data of a session. Finalizer, expiry, cleanup and the Jobs on volumes all decide by it. */
import { GROUP } from '../api/names.ts';

/** Key of the label with the owner, stored beside a session's data. */
export const OWNER_LABEL = `${GROUP}/owner`;

/** What is known of the data under a session's id. */
export interface StoredData {
  /** Names of the servers that have data under the id. */
  readonly servers: readonly string[];
  /** The owner stored beside the data; '' for none, undefined if it has not been read yet. */
  readonly owner: string | undefined;
  /** A CopilotSession without a ttl keeps it from the tenant's cleanup. */
  readonly kept?: boolean | undefined;
}

/** Who requests the removal: the tenant by its TTL, or a CopilotSession that is deleted or has expired, for its owner. */
export type Claimant = { readonly kind: 'Tenant' } | { readonly kind: 'Session'; readonly owner: string | undefined };

/** `message` names neither the session, which the caller knows, nor the stored owner, which not everyone may know. */
export interface RemovalPermission {
  readonly allowed: boolean;
  readonly reason: 'Allowed' | 'Kept' | 'OnSeveralServers' | 'OnAnotherServer' | 'OwnerUnread' | 'OwnedByAnother';
  readonly message: string;
}

/** Whether `claimant` may have the session's data removed on this server. No other server is touched. */
export function mayRemove(data: StoredData, claimant: Claimant, server: string): RemovalPermission {
  const { servers, owner, kept } = data;
  // The tenant's TTL is a rule for all sessions, by the age of each copy.
  if (claimant.kind === 'Tenant') return kept ? refused('Kept', 'a CopilotSession keeps it') : ALLOWED;
  if (servers.length > 1) return refused('OnSeveralServers', `servers ${servers.join(' and ')} have data of it`);
  if (!servers.includes(server)) return refused('OnAnotherServer', `server ${server} has no data of it`);
  if (owner === undefined) return refused('OwnerUnread', 'the owner of the data has not been read yet');
  if (isOwnedByAnother(owner, claimant.owner)) {
    return refused('OwnedByAnother', 'the data is stored with another owner');
  }
  return ALLOWED;
}

/** Whether the stored owner is not `owner`. Data without an owner belongs to everyone; a resource without an owner owns no data that has one. */
export function isOwnedByAnother(stored: string, owner: string | undefined): boolean {
  return stored !== '' && stored !== owner;
}

const ALLOWED: RemovalPermission = { allowed: true, reason: 'Allowed', message: 'the data may be removed' };

function refused(reason: RemovalPermission['reason'], message: string): RemovalPermission {
  return { allowed: false, reason, message };
}
