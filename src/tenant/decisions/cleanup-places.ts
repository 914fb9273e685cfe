import type { CopilotTenant } from '../../resources/tenant.ts';
import { hasEnded, isCurrent } from '../observe.ts';
import type { ServerWorld } from '../world.ts';

/** Where a tenant's sessions are cleaned up, and why there. */
export interface CleanupPlaces {
  /** Indexes of servers that are asked to delete. */
  readonly servers: readonly number[];
  /** Indexes of servers whose volumes are mounted. */
  readonly volumes: readonly number[];
  readonly reason: 'ThroughServers' | 'OnVolumes' | 'ServersStopping' | 'NothingThere';
  readonly message: string;
}

/**
 * Servers that run delete their sessions themselves. What a deletion leaves behind can only be swept on the volume, and
 * that is mounted beside its server where a second pod may: with several servers the volumes may be on several nodes, and
 * ReadWriteOncePod means what it says. While no server runs, the work is done on the volumes that are there; but not beside a server
 * that is still stopping, whose memory nobody asks any more.
 */
export function cleanupPlaces({ spec }: CopilotTenant, live: ReadonlyMap<number, ServerWorld>): CleanupPlaces {
  if (!spec.suspend && spec.replicas > 0) {
    const servers = Array.from({ length: spec.replicas }, (_, index) => index);
    const modes = live.get(0)?.claim?.spec?.accessModes ?? [spec.storage.accessMode];
    const shared = spec.replicas === 1 && !modes.includes('ReadWriteOncePod');
    const message = shared ? 'The server deletes, and its volume is swept.' : 'The servers delete.';
    return { servers, volumes: shared ? [0] : [], reason: 'ThroughServers', message };
  }
  const volumes = [...live.values()]
    .filter(({ index, claim }) => claim !== undefined && (spec.replicas === 0 || index < spec.replicas))
    .filter(({ claim }) => claim?.metadata.deletionTimestamp === undefined)
    .map(({ index }) => index)
    .toSorted((a, b) => a - b);
  if (volumes.length === 0) {
    return { servers: [], volumes, reason: 'NothingThere', message: 'There is neither a server nor a volume.' };
  }
  if (volumes.some((index) => isStopping(live.get(index)))) {
    const message = 'Servers are still stopping: their volumes are cleaned up after that.';
    return { servers: [], volumes, reason: 'ServersStopping', message };
  }
  const message = 'No server runs: the volumes are cleaned up themselves.';
  return { servers: [], volumes, reason: 'OnVolumes', message };
}

/** Whether no run may start at these places. */
export function isPause({ reason }: CleanupPlaces): boolean {
  return reason === 'NothingThere' || reason === 'ServersStopping';
}

// A Deployment that is not seen to be at zero may still make a pod.
function isStopping({ deployment, pods }: ServerWorld = { index: 0, pods: [] }): boolean {
  return pods.some((pod) => !hasEnded(pod)) || (deployment !== undefined && !isCurrent(deployment));
}
