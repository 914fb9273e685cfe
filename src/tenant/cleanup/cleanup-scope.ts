import type { CopilotTenant } from '../../resources/tenant.ts';
import { hasEnded, isReady, servingPod } from '../pods.ts';
import { hashSlot } from '../hash-slot.ts';
import { isCurrent } from '../deployments.ts';
import type { ServerWorld, CleanupScope } from '../model.ts';

/**
 * Servers that run delete their sessions themselves. What a deletion leaves behind can only be sweptIndex on the volume, and
 * that is mounted beside its server where a second pod may: ReadWriteOncePod means what it says, and the volumes of several
 * servers may be on several nodes, so that each run takes one of them in turn. While no server runs, the work is done on
 * the volumes that are there; but not beside a server that is still stopping, whose memory nobody asks any more.
 */
export function cleanupScope(tenant: CopilotTenant, live: ReadonlyMap<number, ServerWorld>): CleanupScope {
  const { spec } = tenant;
  if (!spec.suspend && spec.replicas > 0) {
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
    return { servers: [], volumes, reason: 'NothingThere', message: 'There are no servers and no volumes.' };
  }
  if (volumes.some((index) => isStopping(live.get(index)))) {
    const message = 'Waiting for servers to stop before their volumes are cleaned up.';
    return { servers: [], volumes, reason: 'ServersStopping', message };
  }
  const message = 'No server runs: cleanup works on the volumes.';
  return { servers: [], volumes, reason: 'OnVolumes', message };
}

/** Whether no run may start at these places. */
export function isPaused({ reason }: CleanupScope): boolean {
  return reason === 'NothingThere' || reason === 'ServersStopping';
}

/** Index of the server beside which the next run mounts the volume. */
function volumeToSweep({ spec, status }: CopilotTenant, live: ReadonlyMap<number, ServerWorld>): number | undefined {
  // Chosen by the last run, so that nothing changes until there is another; the hash meets each of them sooner or later,
  // whatever the schedule.
  const index = hashSlot(status?.lastCleanup?.job ?? '', spec.replicas);
  const server = live.get(index);
  if (isReadWriteOncePod(server?.claim?.spec?.accessModes ?? [spec.storage.accessMode])) return undefined;
  if (spec.replicas === 1) return index;
  // The run waits for the node of that server, and with it the sessions of all the others: not for a server without a node,
  // and not again after a run that failed, perhaps because that node is cordoned or full.
  if (status?.lastCleanup?.result === 'Failed') return undefined;
  const pod = server && servingPod(server);
  return pod !== undefined && isReady(pod) ? index : undefined;
}

/** Whether a volume of these access modes can't be mounted beside its server. */
export const isReadWriteOncePod = (modes: readonly string[]): boolean => modes.includes('ReadWriteOncePod');

// A Deployment that is not seen to be at zero may still make a pod.
export function isStopping({ deployment, pods }: ServerWorld = { index: 0, pods: [] }): boolean {
  return pods.some((pod) => !hasEnded(pod)) || (deployment !== undefined && !isCurrent(deployment));
}
