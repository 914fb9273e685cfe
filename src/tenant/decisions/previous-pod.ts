/** Decides whether the pod of a server waits for another pod of it, because of the server's anti-affinity to itself. */
import { ReconcilingReason } from '../../api/conditions.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import type { ServerWorld, Wait } from '../model.ts';
import { hasEnded, isPlaced, servingPod } from '../pods.ts';

/** The pod of the server that keeps its serving pod from being scheduled. */
export function previousPod(server: Pick<ServerWorld, 'pods' | 'lookAlikes'>): Pod | undefined {
  const serving = servingPod(server);
  if (serving === undefined || isPlaced(serving)) return undefined;
  return server.pods.find((pod) => pod !== serving && isPlaced(pod) && !hasEnded(pod));
}

/** That it is waited for: it needs no user action, and the scheduler's own message would name the tenant's affinity. */
export function waitForPreviousPod(live: Pick<ServerWorld, 'pods' | 'lookAlikes'>, server: string): Wait | undefined {
  const previous = previousPod(live);
  return (
    previous && {
      reason: ReconcilingReason.ServersStarting,
      message: `Server ${server} waits until its previous pod ${previous.metadata.name} has stopped: only one pod may write to its volume.`,
    }
  );
}
