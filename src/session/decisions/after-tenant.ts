/** What becomes of the data of a deleted session whose tenant is deleted too: it goes or stays with the volume. */
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { getControllerOf, isControlledBy, refersTo } from '../../kube/types/owner.ts';
import { CopilotTenant } from '../../resources/tenant.ts';

/** `Gone`: there is no volume. `GoesWithVolume`: the garbage collector deletes it. `Retained`: the volume stays, and its data. */
export interface VolumeFate {
  readonly reason: 'Gone' | 'GoesWithVolume' | 'Retained';
  readonly message: string;
}

/** Finalizer of an object that is deleted without its children (`kubectl delete --cascade=orphan`). */
const ORPHAN = 'orphan';

/**
 * The fate of a volume whose tenant is gone (undefined) or is being deleted. With the reclaim policy Delete the tenant controls the
 * claim; an orphaned one has no controller any more.
 */
export function volumeFate(claim: PersistentVolumeClaim | undefined, tenant: CopilotTenant | undefined): VolumeFate {
  if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) {
    return { reason: 'Gone', message: 'the volume is deleted' };
  }
  const { name } = claim.metadata;
  const owner = getControllerOf(claim);
  const goes =
    tenant === undefined
      ? owner !== undefined && refersTo(owner, CopilotTenant)
      : isControlledBy(claim, tenant) && tenant.metadata.finalizers?.includes(ORPHAN) !== true;
  return goes
    ? { reason: 'GoesWithVolume', message: `PersistentVolumeClaim ${name} is deleted with its tenant` }
    : { reason: 'Retained', message: `PersistentVolumeClaim ${name} is retained` };
}
