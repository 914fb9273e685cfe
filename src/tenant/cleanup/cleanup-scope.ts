/** Decides which servers and volumes a cleanup run covers. */
import { isSharedStorage, isStopped, type CopilotTenant } from '../../resources/tenant.ts';
import type { PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import { isRolloutComplete } from '../deployments.ts';
import { hashSlot } from '../hash-slot.ts';
import type { CleanupScope, ServerWorld } from '../model.ts';
import { isReady } from '../../resources/pod.ts';
import { hasEnded, servingPod } from '../pods.ts';

/**
 * Running servers delete their sessions themselves. The files that deletions leave can only be swept on the volume, which the
 * run mounts beside its server if a second pod is allowed to: never with ReadWriteOncePod, and one volume for each run, because
 * the volumes of several servers may be on different nodes. While no server runs, the run works on all existing volumes, but not
 * while a server is still stopping: it may have sessions in memory.
 */
export function cleanupScope(
  tenant: CopilotTenant,
  live: ReadonlyMap<number, ServerWorld>,
  shared?: PersistentVolumeClaim,
): CleanupScope {
  const { spec } = tenant;
  if (isSharedStorage(tenant)) return sharedScope(tenant, live, shared);
  if (!isStopped(tenant) && spec.replicas > 0) {
    const servers = Array.from({ length: spec.replicas }, (_, index) => index);
    const sweptIndex = volumeToSweep(tenant, live);
    const sweeps = sweptIndex === undefined ? '' : ` The volume of server ${sweptIndex} is swept as well.`;
    return {
      servers,
      volumes: sweptIndex === undefined ? [] : [sweptIndex],
      reason: 'ThroughServers',
      message: `The servers delete expired sessions.${sweeps}`,
    };
  }
  const volumes = [...live.values()]
    .filter(({ index, claim }) => claim !== undefined && (spec.replicas === 0 || index < spec.replicas))
    .filter(({ claim }) => claim?.metadata.deletionTimestamp === undefined)
    .map(({ index }) => index)
    .toSorted((a, b) => a - b);
  if (volumes.length === 0) {
    return { servers: [], volumes, reason: 'NoVolumes', message: 'There are no servers and no volumes.' };
  }
  if (volumes.some((index) => isStopping(live.get(index)))) {
    const message = 'Waiting for servers to stop before their volumes are cleaned up.';
    return { servers: [], volumes, reason: 'ServersStopping', message };
  }
  const message = 'No server runs: cleanup works on the volumes.';
  return { servers: [], volumes, reason: 'OnVolumes', message };
}

/**
 * A run has no grant, so it can delete nothing through a server with a guard: the operator does that. It works on the volume while no
 * server of the tenant runs, also none that was scaled down and still stops.
 */
function sharedScope(
  tenant: CopilotTenant,
  live: ReadonlyMap<number, ServerWorld>,
  claim: PersistentVolumeClaim | undefined,
): CleanupScope {
  const nothing = { servers: [], volumes: [] };
  if (!isStopped(tenant) && tenant.spec.replicas > 0) {
    const message = 'The operator has one server delete expired sessions from the volume that all share.';
    return { ...nothing, reason: 'ThroughOneServer', message };
  }
  if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) {
    return { ...nothing, reason: 'NoVolumes', message: 'There are no servers and no volume.' };
  }
  if ([...live.values()].some(isStopping)) {
    const message = 'Waiting for servers to stop before their volume is cleaned up.';
    return { ...nothing, reason: 'ServersStopping', message };
  }
  const message = 'No server runs: cleanup works on the volume that they share.';
  return { servers: [], volumes: [0], reason: 'OnVolumes', message };
}

/** Whether no run may start. */
export function isPaused({ reason }: CleanupScope): boolean {
  return reason === 'NoVolumes' || reason === 'ServersStopping' || reason === 'ThroughOneServer';
}

/** Index of the server whose volume the next run mounts and sweeps. */
function volumeToSweep({ spec, status }: CopilotTenant, live: ReadonlyMap<number, ServerWorld>): number | undefined {
  // Chosen by the name of the last run, so that it changes only after each run; in time the hash chooses each server.
  const index = hashSlot(status?.lastCleanup?.job ?? '', spec.replicas);
  const server = live.get(index);
  if (isReadWriteOncePod(server?.claim?.spec?.accessModes ?? [spec.storage.accessMode])) return undefined;
  if (spec.replicas === 1) return index;
  // The pod of the run needs the node of that server. Without a node, or if the last run failed, perhaps because the node is
  // cordoned or full, the sessions of all other servers must not wait for it.
  if (status?.lastCleanup?.result === 'Failed') return undefined;
  const pod = server && servingPod(server);
  return pod !== undefined && isReady(pod) ? index : undefined;
}

/** Whether a volume with these access modes cannot be mounted beside its server. */
export const isReadWriteOncePod = (modes: readonly string[]): boolean => modes.includes('ReadWriteOncePod');

/** Whether a server that should not run may still have a pod: until its Deployment is observed at zero, it may create one. */
export function isStopping({ deployment, pods }: ServerWorld = { index: 0, pods: [] }): boolean {
  return pods.some((pod) => !hasEnded(pod)) || (deployment !== undefined && !isRolloutComplete(deployment));
}
