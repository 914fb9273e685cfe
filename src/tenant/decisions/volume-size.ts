/** Decides about volume sizes: the lowest allowed one, and whether a volume is being expanded. */
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { isLess } from '../../kube/types/quantity.ts';

/**
 * The lowest size that `spec.storage.size` may be set to: the largest request of the claims, or the capacity of a volume that
 * has not been expanded to the request yet. A volume that was provisioned larger than requested counts with its request:
 * otherwise the size that it was created with would be refused.
 */
export function minimumSize(claims: readonly PersistentVolumeClaim[]): string {
  const sizes = claims.flatMap((claim) => {
    const { requested, capacity } = sizesOf(claim);
    return (
      (requested !== undefined && capacity !== undefined && isLess(capacity, requested) ? capacity : requested) ?? []
    );
  });
  return sizes.reduce((largest, size) => (isLess(largest, size) ? size : largest), '0');
}

/**
 * Whether the volume is being expanded to `size`. An expansion that was reverted too late to be stopped may continue, but is
 * not waited for.
 */
export function isGrowing(claim: PersistentVolumeClaim, size: string): boolean {
  const { requested, capacity } = sizesOf(claim);
  return capacity !== undefined && requested !== undefined && isLess(capacity, requested) && isLess(capacity, size);
}

function sizesOf({ spec, status }: PersistentVolumeClaim) {
  return { requested: spec?.resources?.requests?.['storage'], capacity: status?.capacity?.['storage'] };
}
