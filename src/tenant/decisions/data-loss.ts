import { StalledReason } from '../../api/conditions.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { TenantCause } from '../model.ts';

/** What is known of a server's volume. */
export interface VolumeInput {
  readonly tenant: string;
  /** Name of the server and of its claim. */
  readonly server: string;
  readonly live: PersistentVolumeClaim | undefined;
  /** UID of the claim that was bound when status was last written: the proof that there was something to lose. */
  readonly recordedUID: string | undefined;
  /** UIDs of lost claims that a person has let go of. */
  readonly accepted: ReadonlySet<string>;
}

/**
 * Whether the server's sessions are lost. A claim that was bound and is gone is never replaced by an empty one without
 * a word: to the users that would look as if their sessions had never been. A claim of another UID that stands in its
 * place is fine: somebody restored it, for the operator makes none here.
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
        `Restore the PersistentVolume, or delete the claim and accept the loss.`,
    };
  }
  if (live.metadata.deletionTimestamp !== undefined) {
    return {
      reason: StalledReason.DataLost,
      message:
        `PersistentVolumeClaim ${server} is being deleted: it and the sessions on it are removed when server ${server} stops. ` +
        `The server is kept running: copy the sessions, or set the reclaim policy of the PersistentVolume to Retain, before it stops.`,
    };
  }
  return undefined;
}

/** UIDs in the value of the annotation that accepts the loss of volumes. */
export function acceptedLosses(value: string | undefined): ReadonlySet<string> {
  return new Set((value ?? '').split(',').map((uid) => uid.trim()));
}
