/** Decides whether the sessions of a server are lost. */
import { StalledReason } from '../../api/conditions.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { TenantCause } from '../model.ts';

/** What is known of the volume of a server. */
export interface VolumeInput {
  readonly tenant: string;
  /** Name of the server and of its claim. */
  readonly server: string;
  readonly live: PersistentVolumeClaim | undefined;
  /** UID of the bound claim, from the status: it proves that there was a volume with sessions. */
  readonly recordedUID: string | undefined;
  /** UIDs of the claims whose loss a user has accepted. */
  readonly accepted: ReadonlySet<string>;
}

/**
 * Whether the sessions of the server are lost. A deleted claim that was bound is never silently replaced by an empty one: to
 * users it would look as if their sessions had never existed. A claim with another UID is no loss: it was restored, because
 * the operator does not create one in this case.
 */
export function dataLoss({ tenant, server, live, recordedUID, accepted }: VolumeInput): TenantCause | undefined {
  if (live === undefined) {
    if (recordedUID === undefined || accepted.has(recordedUID)) return undefined;
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolumeClaim ${server} (UID ${recordedUID}) with the sessions of server ${server} was deleted. ` +
        `Restore it with the same name and labels, or accept the loss and start with an empty volume: ` +
        `kubectl annotate ct/${tenant} --overwrite copilot-operator.dev/accept-data-loss=${recordedUID}`,
    };
  }
  if (live.status?.phase === 'Lost') {
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolume ${live.spec?.volumeName ?? ''} of claim ${server} is lost, and with it the sessions of server ${server}. ` +
        `Restore the PersistentVolume, or delete PersistentVolumeClaim ${server}; this message then shows how to accept the loss.`,
    };
  }
  if (live.metadata.deletionTimestamp !== undefined) {
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolumeClaim ${server} is being deleted: it and the sessions on it are removed when server ${server} stops. ` +
        `The server is kept running until then: copy the sessions, or set the reclaim policy of the PersistentVolume to Retain.`,
    };
  }
  return undefined;
}

/** The UIDs in the annotation that accepts the loss of volumes. */
export function acceptedLosses(value: string | undefined): ReadonlySet<string> {
  return new Set((value ?? '').split(',').map((uid) => uid.trim()));
}
