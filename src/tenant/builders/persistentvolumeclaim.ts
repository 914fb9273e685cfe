import { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { isLess } from '../../kube/types/quantity.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { serverMetadata } from './metadata.ts';

/**
 * The volume of server `index`. With `Delete` the tenant owns it and takes it along; with `Retain` nothing owns it, so
 * that it outlives the tenant and is taken up again by the next one of this name.
 *
 * A claim cannot be changed but for its size, so what `live` was made with stays, even where a retained claim differs
 * from the new tenant's spec.
 */
export function persistentVolumeClaim(
  tenant: CopilotTenant,
  index: number,
  live?: PersistentVolumeClaim,
): PersistentVolumeClaim {
  const { size, storageClassName, accessMode, reclaimPolicy } = tenant.spec.storage;
  const { ownerReferences, ...metadata } = serverMetadata(tenant, index, serverName(tenant.metadata.name, index));
  return {
    apiVersion: apiVersionOf(PersistentVolumeClaim),
    kind: PersistentVolumeClaim.kind,
    metadata: { ...metadata, ...(reclaimPolicy === 'Delete' && ownerReferences && { ownerReferences }) },
    spec: {
      accessModes: live?.spec?.accessModes ?? [accessMode],
      ...(storageClassName !== undefined && { storageClassName: live?.spec?.storageClassName ?? storageClassName }),
      resources: { requests: { storage: requestedSize(size, live) } },
    },
  };
}

/**
 * What the claim asks for. A volume never shrinks: a claim may ask for less than before only while it asks for more than its
 * volume has, and for more than that all the same (RecoverVolumeExpansionFailure). So a size that is set back takes a growth
 * back where that is possible, and otherwise leaves the claim as it is.
 */
function requestedSize(size: string, live: PersistentVolumeClaim | undefined): string {
  const requested = live?.spec?.resources?.requests?.['storage'];
  if (live === undefined || requested === undefined) return size;
  // Until it is bound nothing of a claim can be changed; then its status tells, and it is looked at again.
  if (live.status?.phase !== 'Bound') return requested;
  const capacity = live.status.capacity?.['storage'];
  const isAllowed = isLess(requested, size) || (capacity !== undefined && isLess(capacity, size));
  return isAllowed ? size : requested;
}
