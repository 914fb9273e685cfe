/** Reads the pods of a server. */
import type { Pod } from '../kube/types/builtins.ts';
import { SERVER_CONTAINER } from '../resources/pod.ts';

/** The pods of a server. */
interface ServerPods {
  readonly pods: readonly Pod[];
  /** Pods that are not the server's own. */
  readonly lookAlikes?: readonly { readonly pod: Pod }[] | undefined;
}

/**
 * The server's own pod that serves or will: the newest one that is not terminating, preferably one that has a node, otherwise one that
 * has not ended. A second pod, which another writer caused, has no node, because a server is not scheduled beside itself.
 */
export function servingPod({ pods, lookAlikes = [] }: ServerPods): Pod | undefined {
  const [only] = pods;
  // Nearly always, and asked for several times in each reconcile.
  if (pods.length <= 1 && lookAlikes.length === 0) {
    return only?.metadata.deletionTimestamp === undefined ? only : undefined;
  }
  const others = new Set(lookAlikes.map(({ pod }) => pod));
  const candidates = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !others.has(pod));
  const state = (pod: Pod): number => (hasEnded(pod) ? 0 : isPlaced(pod) ? 2 : 1);
  const rank = (pod: Pod): string => `${state(pod)} ${pod.metadata.creationTimestamp ?? ''}`;
  return candidates.toSorted((a, b) => rank(a).localeCompare(rank(b))).at(-1);
}

/** Whether the scheduler has chosen a node. */
export function isPlaced({ spec, status }: Pod): boolean {
  return spec?.nodeName !== undefined || status?.phase !== 'Pending';
}

/**
 * Whether all containers of a pod have stopped for good while the pod still exists. An evicted pod, or one whose node was
 * shut down, remains until its Deployment is deleted: it writes to no volume, so nothing has to wait for it.
 */
export function hasEnded({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return status?.phase === 'Failed' || status?.phase === 'Succeeded';
}

/** Whether the pod mounts this PersistentVolumeClaim. */
export function mountsClaim({ spec }: Pod, claim: string): boolean {
  return spec?.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === claim) ?? false;
}

type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number];

/** The status of the server's own container: the kubelet sorts containers by name, and an injected one may come first. */
export function serverContainer({ status }: Pod): ContainerStatus | undefined {
  return status?.containerStatuses?.find(({ name }) => name === SERVER_CONTAINER);
}

/** The address to ping, once the port has been open: start-up must not count as a failure. */
export function pingAddress(pod: Pod | undefined): string | undefined {
  const started = pod && serverContainer(pod)?.started === true;
  return started ? pod?.status?.podIP : undefined;
}

/** When the container last started, ms since the epoch: a restarted container keeps its pod. */
export function startTime(pod: Pod | undefined): number | undefined {
  const startedAt = pod && serverContainer(pod)?.state?.running?.startedAt;
  return startedAt === undefined ? undefined : Date.parse(startedAt);
}

/** Whether the kubelet can connect to the server's port. Unlike the condition Ready, whatever other containers do. */
export function isPortOpen(pod: Pod): boolean {
  return serverContainer(pod)?.ready === true;
}
