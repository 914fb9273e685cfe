/** The PersistentVolumeClaim of a server, or of all servers of a tenant that share one. */
import { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { isLess } from '../../kube/types/quantity.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { claimName } from '../../resources/names.ts';
import { isSharedStorage, type CopilotTenant } from '../../resources/tenant.ts';
import { serverMetadata, sharedMetadata } from './metadata.ts';

/**
 * Argo CD with tracking by label takes a claim for a resource of an Application that has the tenant's name: the label `app.kubernetes.io/instance`
 * names it, and a retained claim has no owner. Without these it would prune the volume, or delete it with the Application.
 */
const ARGO_CD_ANNOTATIONS = {
  'argocd.argoproj.io/compare-options': 'IgnoreExtraneous',
  'argocd.argoproj.io/sync-options': 'Prune=false,Delete=false',
};

/**
 * With the reclaim policy `Delete` the tenant owns the claim, which is then deleted with it. With `Retain` the claim has no
 * owner: it remains when the tenant is deleted, and the next tenant of this name uses it again.
 *
 * Only the size of a claim can be changed, so all other fields of `live` are kept, even where a retained claim differs from
 * the spec of the new tenant.
 */
export function persistentVolumeClaim(
  tenant: CopilotTenant,
  index: number,
  live?: PersistentVolumeClaim,
): PersistentVolumeClaim {
  const { size, storageClassName, accessMode, reclaimPolicy } = tenant.spec.storage;
  const name = claimName(tenant, index);
  const { ownerReferences, ...metadata } = isSharedStorage(tenant)
    ? sharedMetadata(tenant, name)
    : serverMetadata(tenant, index, name);
  return {
    apiVersion: apiVersionOf(PersistentVolumeClaim),
    kind: PersistentVolumeClaim.kind,
    metadata: {
      ...metadata,
      annotations: { ...ARGO_CD_ANNOTATIONS },
      ...(reclaimPolicy === 'Delete' && ownerReferences && { ownerReferences }),
    },
    spec: {
      accessModes: live?.spec?.accessModes ?? [accessMode],
      ...(storageClassName !== undefined && { storageClassName: live?.spec?.storageClassName ?? storageClassName }),
      resources: { requests: { storage: requestedSize(size, live) } },
    },
  };
}

/**
 * The requested size. A volume never shrinks: a request may only be lowered while it exceeds the capacity of the volume, and
 * must still exceed it afterwards (RecoverVolumeExpansionFailure). So lowering the size in the spec cancels an expansion where
 * that is possible, and otherwise does not change the claim.
 */
function requestedSize(size: string, live: PersistentVolumeClaim | undefined): string {
  const requested = live?.spec?.resources?.requests?.['storage'];
  if (live === undefined || requested === undefined) return size;
  // An unbound claim cannot be changed. Once it is bound, its status changes, which requeues the tenant.
  if (live.status?.phase !== 'Bound') return requested;
  const capacity = live.status.capacity?.['storage'];
  const isAllowed = isLess(requested, size) || (capacity !== undefined && isLess(capacity, size));
  return isAllowed ? size : requested;
}
