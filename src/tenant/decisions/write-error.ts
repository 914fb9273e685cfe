/** Decides what is reported of a server that answers but cannot write to its volume. */
import { StalledReason } from '../../api/conditions.ts';
import type { ServerHealth } from '../../servers/server.ts';
import type { TenantCause } from '../model.ts';

/** Whether the server is not known to be unable to write. */
export function canWrite(health: ServerHealth): boolean {
  return health.state !== 'Healthy' || health.writeError === undefined;
}

/** Undefined if the server can write, or if that is not known. */
export function writeErrorCause(health: ServerHealth, server: string, claim = server): TenantCause | undefined {
  if (health.state !== 'Healthy' || health.writeError === undefined) return undefined;
  const { writeError } = health;
  const remedy =
    writeError === 'EROFS'
      ? `The file system of the volume is read-only: check the volume of claim ${claim} and the mount options of its PersistentVolume, then run kubectl rollout restart deploy/${server}.`
      : `Make the directory of the volume of claim ${claim} writable for the user or the group of the server's pod (kubectl get deploy ${server} -o jsonpath={.spec.template.spec.securityContext}): Kubernetes does not change the owner on hostPath and NFS volumes, and an NFS export needs no_root_squash or an owner that matches.`;
  return {
    reason: StalledReason.VolumeNotWritable,
    message: `Server ${server} cannot write to its volume (${writeError}), so no session can be created. ${remedy}`,
  };
}
