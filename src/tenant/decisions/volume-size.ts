/** The sizes that volumes have and that their claims request. */
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { isLess } from '../../kube/types/quantity.ts';

/**
 * The size below which `spec.storage.size` may not be set: the most that a claim asks for, or that its volume has, while that
 * has not grown to it. A volume that was made larger than it was asked for does not count as larger: there would be no way
 * back to the size that it was made with.
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
 * Whether the volume is on its way to the size that the spec says. A growth that was taken back when it could not be stopped
 * any more may go on, but nobody waits for it.
 */
export function isGrowing(claim: PersistentVolumeClaim, size: string): boolean {
  const { requested, capacity } = sizesOf(claim);
  return capacity !== undefined && requested !== undefined && isLess(capacity, requested) && isLess(capacity, size);
}

function sizesOf({ spec, status }: PersistentVolumeClaim) {
  return { requested: spec?.resources?.requests?.['storage'], capacity: status?.capacity?.['storage'] };
}
