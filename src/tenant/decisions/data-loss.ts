/** Decides whether the sessions of a server are lost. */
import { StalledReason } from '../../api/conditions.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { TenantCause } from '../model.ts';

/** What is known of the volume of a server. */
export interface VolumeInput {
  readonly tenant: string;
  /** Name of the server, and of its claim unless that is shared. */
  readonly server: string;
  /** Name of the claim that all servers of the tenant share. */
  readonly shared?: string | undefined;
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
export function dataLoss({
  tenant,
  server,
  shared,
  live,
  recordedUID,
  accepted,
}: VolumeInput): TenantCause | undefined {
  const claim = shared ?? server;
  // The same text for each server of a tenant whose servers share the volume.
  const whose = shared === undefined ? `server ${server}` : `tenant ${tenant}`;
  const [running, stops] =
    shared === undefined ? ['The server is', 'stops'] : ['The servers are', 'has no server any more'];
  if (live === undefined) {
    if (recordedUID === undefined || accepted.has(recordedUID)) return undefined;
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolumeClaim ${claim} (UID ${recordedUID}) with the sessions of ${whose} was deleted. ` +
        `Restore it with the same name and labels, or accept the loss and start with an empty volume: ` +
        `kubectl annotate ct/${tenant} --overwrite copilot-operator.dev/accept-data-loss=${recordedUID}`,
    };
  }
  if (live.status?.phase === 'Lost') {
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolume ${live.spec?.volumeName ?? ''} of claim ${claim} is lost, and with it the sessions of ${whose}. ` +
        `Restore the PersistentVolume, or delete PersistentVolumeClaim ${claim}; this message then shows how to accept the loss.`,
    };
  }
  if (live.metadata.deletionTimestamp !== undefined) {
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolumeClaim ${claim} is being deleted: it and the sessions on it are removed when ${whose} ${stops}. ` +
        `${running} kept running until then: copy the sessions, or set the reclaim policy of the PersistentVolume to Retain.`,
    };
  }
  return undefined;
}

/** The UIDs in the annotation that accepts the loss of volumes. */
export function acceptedLosses(value: string | undefined): ReadonlySet<string> {
  return new Set((value ?? '').split(',').map((uid) => uid.trim()));
}
