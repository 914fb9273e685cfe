/** What is left of a deleted session whose tenant is gone: without its servers and its spec nothing can be removed. */
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { childName, serverIndex } from '../../resources/names.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { volumeFate } from '../decisions/after-tenant.ts';
import { EMPTY_REMOVAL, type Removal } from '../model.ts';
import type { RemovalJobs } from './removal-jobs.ts';

export interface DataWithoutTenantOptions {
  readonly jobs: Pick<RemovalJobs, 'claim'>;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
}

/** Removes nothing, and reports the retained volumes that have the data, or may have it. */
export async function dataWithoutTenant(
  { jobs, claims }: DataWithoutTenantOptions,
  session: CopilotSession,
  signal: AbortSignal,
): Promise<Removal> {
  const { namespace = '' } = session.metadata;
  const { phase, server } = session.status ?? {};
  // Observed before, and on no server.
  if (phase !== undefined && server === undefined) return EMPTY_REMOVAL;
  const tenant = session.spec.tenantRef.name;
  // Whether its servers shared a volume is not known any more.
  const shared = childName(tenant, 'shared');
  const names = server === undefined ? volumesOf(claims, namespace, tenant) : [server, shared];
  const found = await Promise.all(names.map((name) => jobs.claim(namespace, name, signal)));
  const retained = found.flatMap((claim) =>
    claim !== undefined && volumeFate(claim, undefined).reason === 'Retained' ? [claim.metadata.name] : [],
  );
  if (retained.length === 0) return EMPTY_REMOVAL;
  const verb = server === undefined ? 'may be' : 'is';
  const message = `CopilotTenant ${tenant} no longer exists; the data ${verb} on its retained PersistentVolumeClaim ${retained.join(' or ')}.`;
  return { ...EMPTY_REMOVAL, leftBehind: [message] };
}

/** Names of the volume claims that a session which was never seen may be on. */
function volumesOf(claims: ReadonlyStore<PersistentVolumeClaim>, namespace: string, tenant: string): string[] {
  const names = claims.list(namespace).map(({ metadata }) => metadata.name);
  const isVolume = (name: string) => serverIndex(tenant, name) !== undefined || name === childName(tenant, 'shared');
  return names.filter(isVolume).toSorted();
}
