import { PersistentVolumeClaim } from '../../kube/builtins.ts';
import { compareQuantities } from '../../kube/quantity.ts';
import { apiVersionOf } from '../../kube/resource.ts';
import { serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { serverMetadata } from './metadata.ts';

/**
 * The volume of server `index`. With `Delete` the tenant owns it and takes it along; with `Retain` nothing owns it, so
 * that it outlives the tenant and is taken up again by the next one of this name.
 *
 * A claim cannot be changed but for its size, so what `live` was made with stays, even where a retained claim differs
 * from the new tenant's spec; and a volume never shrinks.
 */
export function persistentVolumeClaim(
  tenant: CopilotTenant,
  index: number,
  live?: PersistentVolumeClaim,
): PersistentVolumeClaim {
  const { size, storageClassName, accessMode, reclaimPolicy } = tenant.spec.storage;
  const { ownerReferences, ...metadata } = serverMetadata(tenant, index, serverName(tenant.metadata.name, index));
  const liveSize = live?.spec?.resources?.requests?.['storage'];
  return {
    apiVersion: apiVersionOf(PersistentVolumeClaim),
    kind: PersistentVolumeClaim.kind,
    metadata: { ...metadata, ...(reclaimPolicy === 'Delete' && ownerReferences && { ownerReferences }) },
    spec: {
      accessModes: live?.spec?.accessModes ?? [accessMode],
      ...(storageClassName !== undefined && { storageClassName: live?.spec?.storageClassName ?? storageClassName }),
      resources: {
        requests: { storage: isLarger(liveSize, size) ? liveSize : size },
      },
    },
  };
}

function isLarger(live: string | undefined, size: string): live is string {
  return live !== undefined && (compareQuantities(live, size) ?? 0) > 0;
}
