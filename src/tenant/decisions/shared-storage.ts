/** Decides whether servers may start on the volume that they share. */
import { ReconcilingReason, StalledReason } from '../../api/conditions.ts';
import { GRANT_SECRET } from '../../api/names.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { TenantCause, Wait } from '../model.ts';

/** What is decided from. */
export interface SharedStorageInput {
  /** The claim of the volume; undefined: it does not exist yet. */
  readonly claim: PersistentVolumeClaim | undefined;
  /** The operator knows the image of the guards, which is its own. */
  readonly hasImage: boolean;
  /** The keys of grants are in the cluster, or can be written to it. */
  readonly hasKeys: boolean;
}

/** What is decided. Servers that run go on in any case. */
export interface SharedStorageDecision {
  readonly mayStart: boolean;
  readonly reason: 'Usable' | 'NotShared' | 'NoImage' | 'NoKeys';
  readonly message: string;
  /** What a user has to do first. */
  readonly cause?: TenantCause;
  readonly wait?: Wait;
}

const SHARED = 'ReadWriteMany';

/** The first that keeps servers from starting decides. */
export function sharedStorage({ claim, hasImage, hasKeys }: SharedStorageInput): SharedStorageDecision {
  if (!hasImage) {
    return stalled(
      'NoImage',
      StalledReason.OperatorImageUnknown,
      'spec.topology is SharedStorage, but the operator does not know its own image, which the guard of each server needs: upgrade the chart, or set --operator-image of the operator.',
    );
  }
  const found = claim === undefined ? undefined : notShared(claim);
  if (claim !== undefined && found !== undefined) {
    const { name } = claim.metadata;
    return stalled(
      'NotShared',
      StalledReason.VolumeNotShared,
      `PersistentVolumeClaim ${name} ${found}, so servers on several nodes cannot mount it. Copy its sessions if it has any, delete the claim, and let the operator create it anew with a StorageClass that provides ReadWriteMany volumes: spec.storage.storageClassName is immutable, so another class takes a new tenant.`,
    );
  }
  if (!hasKeys) {
    const message = `Servers wait for the key of grants in Secret ${GRANT_SECRET} of the operator's namespace, which the operator makes where a gateway is installed.`;
    return { mayStart: false, reason: 'NoKeys', message, wait: { reason: ReconcilingReason.ServersStarting, message } };
  }
  return { mayStart: true, reason: 'Usable', message: 'The volume and the keys can be used.' };
}

/** What is wrong with the claim, as the end of a sentence. The status has the modes of the volume, and the spec those that were asked for. */
function notShared({ spec, status }: PersistentVolumeClaim): string | undefined {
  const { accessModes: asked = [] } = spec ?? {};
  if (!asked.includes(SHARED)) return `asks for ${asked.join(' and ') || 'no access mode'} and not for ${SHARED}`;
  const { accessModes: bound } = status ?? {};
  if (status?.phase !== 'Bound' || bound === undefined || bound.includes(SHARED)) return undefined;
  return `is bound to a volume that is ${bound.join(' and ')} and not ${SHARED}`;
}

function stalled(
  reason: SharedStorageDecision['reason'],
  cause: TenantCause['reason'],
  message: string,
): SharedStorageDecision {
  return { mayStart: false, reason, message, cause: { reason: cause, message } };
}
