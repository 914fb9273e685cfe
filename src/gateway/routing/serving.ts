/** Decides which pods of a tenant serve: by the condition Ready, also while they terminate, because running turns end there. */
import { Label } from '../../api/names.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { getControllerOf } from '../../kube/types/owner.ts';
import { isReady } from '../../resources/pod.ts';

/** A pod that serves, and where. */
export interface ServingPod {
  /** Name of the server. */
  readonly server: string;
  readonly pod: Pod;
  readonly host: string;
}

/**
 * One pod for each server, by name. `isOwn` says whether its owners prove that it is the tenant's. A pod that is not terminating comes
 * before one that is. Of a ReplicaSet with more pods than it should have none is believed: whoever creates a pod can name it as owner.
 */
export function servingPods(pods: readonly Pod[], isOwn: (pod: Pod) => boolean): ServingPod[] {
  return chosenPods(pods, isOwn, isReady);
}

/** Those that do not serve yet, and are about to: the kubelet says a second later than it is so that a server listens. */
export function startingPods(pods: readonly Pod[], isOwn: (pod: Pod) => boolean): ServingPod[] {
  return chosenPods(pods, isOwn, (pod) => !isReady(pod) && isAlive(pod));
}

function chosenPods(pods: readonly Pod[], isOwn: (pod: Pod) => boolean, isWanted: (pod: Pod) => boolean): ServingPod[] {
  const own = pods.filter(isOwn);
  const chosen = new Map<string, ServingPod>();
  for (const pod of own.toSorted((a, b) => rank(b) - rank(a))) {
    const server = pod.metadata.labels?.[Label.server] ?? '';
    const host = pod.status?.podIP;
    if (host === undefined || !isWanted(pod) || chosen.has(server) || hasTwin(pod, own)) continue;
    chosen.set(server, { server, pod, host });
  }
  return [...chosen.values()].toSorted((a, b) => a.server.localeCompare(b.server, 'en', { numeric: true }));
}

const isTerminating = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined;

const rank = (pod: Pod): number => (isTerminating(pod) ? 0 : 1);

function hasTwin(pod: Pod, own: readonly Pod[]): boolean {
  const controller = getControllerOf(pod)?.uid;
  const isTwin = (other: Pod): boolean => other !== pod && isAlive(other) && getControllerOf(other)?.uid === controller;
  return isAlive(pod) && own.some(isTwin);
}

// An evicted pod remains, and its ReplicaSet has replaced it.
function isAlive(pod: Pod): boolean {
  const { phase } = pod.status ?? {};
  return !isTerminating(pod) && phase !== 'Failed' && phase !== 'Succeeded';
}
