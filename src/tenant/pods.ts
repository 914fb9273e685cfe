/** What a pod of a server says of itself. */
import type { Pod } from '../kube/types/builtins.ts';

/** The pod that serves or is going to: the newest one that is not on its way out, rather one that has not ended. */
export function servingPod({ pods }: { readonly pods: readonly Pod[] }): Pod | undefined {
  const candidates = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const rank = (pod: Pod): string => `${hasEnded(pod) ? 0 : 1} ${pod.metadata.creationTimestamp ?? ''}`;
  return candidates.toSorted((a, b) => rank(a).localeCompare(rank(b))).at(-1);
}

/**
 * Whether a pod has stopped for good and nobody deletes it. An evicted one, or one whose node was shut down, stays for
 * others to read until its Deployment goes: it writes to no volume and nobody waits for it.
 */
export function hasEnded({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return status?.phase === 'Failed' || status?.phase === 'Succeeded';
}

/** Where the pinger finds the server in `pod`: once its port has been open, so that start-up counts as no failure. */
export function pingAddress(pod: Pod | undefined): string | undefined {
  const started = pod?.status?.containerStatuses?.[0]?.started === true;
  return started ? pod?.status?.podIP : undefined;
}

/** When the process in `pod` started, ms since the epoch: a container that starts again keeps its pod. */
export function startTime(pod: Pod | undefined): number | undefined {
  const startedAt = pod?.status?.containerStatuses?.[0]?.state?.running?.startedAt;
  return startedAt === undefined ? undefined : Date.parse(startedAt);
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
