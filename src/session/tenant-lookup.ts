/** Finds the tenant of a session. */
import type { KubeClient } from '../kube/client/client.ts';
import { ignoreNotFound } from '../kube/types/not-found.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { fromKey } from '../kube/types/types.ts';
import type { CopilotSession } from '../resources/session.ts';
import { CopilotTenant } from '../resources/tenant.ts';
import { tenantKeyOf } from '../resources/session-index.ts';

/**
 * The tenant that a session names. One that the cache lacks is read from the API server: the two kinds are watched apart, so a
 * session may arrive before a tenant that was created first, and a missing tenant has consequences.
 */
export async function findTenant(
  session: CopilotSession,
  tenants: ReadonlyStore<CopilotTenant>,
  client: Pick<KubeClient, 'get'>,
  signal: AbortSignal,
): Promise<CopilotTenant | undefined> {
  const ref = fromKey(tenantKeyOf(session));
  return tenants.get(ref) ?? (await ignoreNotFound(client.get(CopilotTenant, ref, { signal })));
}
