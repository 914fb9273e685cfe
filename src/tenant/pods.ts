/** Reads the pods of a server. */
import type { Pod } from '../kube/types/builtins.ts';

/** The pod that serves or will: the newest one that is not terminating, preferably one that has not ended. */
export function servingPod({ pods }: { readonly pods: readonly Pod[] }): Pod | undefined {
  const candidates = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const rank = (pod: Pod): string => `${hasEnded(pod) ? 0 : 1} ${pod.metadata.creationTimestamp ?? ''}`;
  return candidates.toSorted((a, b) => rank(a).localeCompare(rank(b))).at(-1);
}

/**
 * Whether all containers of a pod have stopped for good while the pod still exists. An evicted pod, or one whose node was
 * shut down, remains until its Deployment is deleted: it writes to no volume, so nothing has to wait for it.
 */
export function hasEnded({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return status?.phase === 'Failed' || status?.phase === 'Succeeded';
}

/** The address to ping, once the port has been open: start-up must not count as a failure. */
export function pingAddress(pod: Pod | undefined): string | undefined {
  const started = pod?.status?.containerStatuses?.[0]?.started === true;
  return started ? pod?.status?.podIP : undefined;
}

/** When the container last started, ms since the epoch: a restarted container keeps its pod. */
export function startTime(pod: Pod | undefined): number | undefined {
  const startedAt = pod?.status?.containerStatuses?.[0]?.state?.running?.startedAt;
  return startedAt === undefined ? undefined : Date.parse(startedAt);
}

/** Whether the pod has the condition Ready. */
export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
