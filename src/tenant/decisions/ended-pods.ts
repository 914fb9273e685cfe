/** Decides which ended pods of a server are deleted, and what is reported of each: a ReplicaSet replaces them, and leaves them. */
import type { Pod } from '../../kube/types/builtins.ts';
import type { ServerWorld } from '../model.ts';
import { hasEnded, servingPod } from '../pods.ts';
import { failedPodCause } from './pod-cause.ts';

/** A pod that is deleted. */
export interface EndedPod {
  readonly pod: Pod;
  /** Index of its server. */
  readonly index: number;
  readonly reason: 'ServerEvicted' | 'ServerPodFailed';
  readonly message: string;
}

/**
 * The ended pods of a server that have been replaced, or whose server should not run. The last one stays while there is no other:
 * the status reports why it ended.
 */
export function endedPods(server: ServerWorld, name: string, running: boolean): EndedPod[] {
  const reported = running ? servingPod(server) : undefined;
  return server.pods
    .filter((pod) => pod !== reported && hasEnded(pod))
    .map((pod) => ({
      pod,
      index: server.index,
      reason: pod.status?.reason === 'Evicted' ? 'ServerEvicted' : 'ServerPodFailed',
      message: failedPodCause(pod, name)?.message ?? `Server ${name}: its pod ended.`,
    }));
}
