/** Decides whether a pod is gone for sure, so that nothing of it can write to a shared volume any more (docs/adr/0063-moves.md). */
import type { Pod } from '../kube/types/builtins.ts';

/** Whether anything of a pod can still run: whether a session that was loaded there may be loaded or deleted elsewhere. */
export interface PodFate {
  /** `Deleted`: the API server does not have it. `Ended`: its kubelet says that its containers have ended. */
  readonly reason: 'Deleted' | 'Ended' | 'Terminating' | 'NotReported' | 'Running' | 'Unknown';
  /** Nothing of it can write any more, now and later. */
  readonly isGone: boolean;
  /** For clients and statuses, as a sentence without an end: which pod on which node, and what its administrator can do. */
  readonly message: string;
}

/** Finds out what became of pods. */
export interface PodFates {
  /** Asks the API server, and believes no cache: it may be late, and who changes labels of a pod takes it out of one. */
  fateOf(namespace: string, podUID: string): Promise<PodFate>;
}

/**
 * What became of a pod, by what the API server says of it now; undefined: it does not have it. A kubelet has a pod deleted only when its
 * containers have ended, and whoever deletes one by force, or its Node object, says so in its place. Time alone proves nothing: a node that is
 * cut off goes on.
 */
export function decidePodFate(uid: string, pod: Pod | undefined): PodFate {
  if (pod === undefined) return { reason: 'Deleted', isGone: true, message: `pod ${uid} does not exist any more` };
  const { metadata, spec, status } = pod;
  const where = `pod ${metadata.name} on node ${spec?.nodeName ?? 'unknown'}`;
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const isTerminal = status?.phase === 'Failed' || status?.phase === 'Succeeded';
  // Others than the kubelet set the phase, too.
  const haveEnded = containers.length > 0 && containers.every(({ state }) => state?.terminated !== undefined);
  if (isTerminal && haveEnded) return { reason: 'Ended', isGone: true, message: `${where} has ended` };
  if (metadata.deletionTimestamp !== undefined) {
    const message = `${where} is being deleted: wait until its kubelet says that it has ended; ${ifOff(pod)}`;
    return { reason: 'Terminating', isGone: false, message };
  }
  const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
  // The control plane takes the condition away when it does not hear of the node, and leaves the rest as it was said last.
  if (!isReady && containers.length > 0 && containers.every(({ ready }) => ready)) {
    const message = `${where} is not heard of: its node is not ready, and the pod may still run; ${ifOff(pod)}`;
    return { reason: 'NotReported', isGone: false, message };
  }
  const remedy = `${deletion(pod)} without --force, so that its kubelet says when it has ended`;
  return { reason: 'Running', isGone: false, message: `${where} does not answer, and has not ended; run ${remedy}` };
}

/** What an administrator does whose node is lost. Kubernetes deletes the pods of a node with this taint by itself. */
function ifOff(pod: Pod): string {
  const node = pod.spec?.nodeName ?? 'unknown';
  return (
    `only if node ${node} is off for good, run kubectl taint node ${node} ` +
    `node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or ${deletion(pod)} --grace-period=0 --force ` +
    '(deleting the Node object says the same), and never while the node may still run'
  );
}

function deletion({ metadata }: Pod): string {
  return `kubectl delete pod ${metadata.name} -n ${metadata.namespace ?? ''}`;
}
