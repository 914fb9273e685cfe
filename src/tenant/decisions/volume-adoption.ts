/** Decides whether the use of a volume that existed before is reported. */
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { isControlledBy } from '../../kube/types/owner.ts';
import { isClaimOf } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { isMarked } from './adoption.ts';

/** A volume with its history that a server starts to use. */
export interface VolumeAdoption {
  /** `Retained`: an operator wrote the claim, for an earlier tenant. `Labelled`: somebody else gave it the tenant's labels. */
  readonly reason: 'Retained' | 'Labelled';
  readonly message: string;
}

/**
 * Reported once, when the claim is bound and not in the status yet. A claim is recognised by its labels, which a copy from elsewhere has
 * too, so the tenant's users learn whose sessions they get.
 */
export function volumeAdoption(
  tenant: CopilotTenant,
  server: string,
  claim: PersistentVolumeClaim | undefined,
  recordedUID: string | undefined,
): VolumeAdoption | undefined {
  if (claim?.status?.phase !== 'Bound' || claim.metadata.uid === recordedUID) return undefined;
  if (!isClaimOf(claim, tenant) || isControlledBy(claim, tenant)) return undefined;
  const { name, creationTimestamp: created = '' } = claim.metadata;
  const volume = claim.spec?.volumeName ?? 'unknown';
  const uses = `Server ${server} uses PersistentVolumeClaim ${name} (volume ${volume}) and the sessions on it`;
  if (!isMarked(claim)) {
    const message = `${uses}. The operator did not create it: it has the labels of this tenant. If it was copied from elsewhere, suspend the tenant, and delete or relabel the claim.`;
    return { reason: 'Labelled', message };
  }
  const isOlder = created < (tenant.metadata.creationTimestamp ?? '');
  if (!isOlder && recordedUID === undefined) return undefined;
  return { reason: 'Retained', message: `${uses}: it existed since ${created}, before this tenant used it.` };
}
