/** Decides from a server's pods whether the node of one does not respond: this needs no right to read nodes. */
import { StalledReason } from '../../api/conditions.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import type { TenantCause } from '../model.ts';
import { hasEnded, isPortOpen } from '../pods.ts';

/** How long after the end of its grace period a terminating pod may still exist, in ms, before its kubelet counts as lost. */
const STOP_GRACE_MS = 60_000;

/** The cause if a pod of `server` is on a node that does not respond: only a user can know whether the pod still runs. */
export function lostNodeCause(pods: readonly Pod[], server: string, now: number): TenantCause | undefined {
  const pod = pods.find((candidate) => !hasEnded(candidate) && (isUnreachable(candidate) || isOverdue(candidate, now)));
  if (pod === undefined) return undefined;
  const { name } = pod.metadata;
  const node = pod.spec?.nodeName ?? 'unknown';
  const problem = isUnreachable(pod)
    ? `node ${node} of pod ${name} does not respond`
    : `pod ${name} on node ${node} was deleted but does not stop`;
  return {
    reason: StalledReason.NodeLost,
    message:
      `Server ${server}: ${problem}. Two pods must not write to its volume, so none is started elsewhere until this one has ended. ` +
      `If the node is shut down for good, run kubectl taint nodes ${node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; ` +
      `if you only know for certain that the pod no longer runs, run kubectl delete pod ${name} --force.`,
  };
}

/**
 * Whether the node controller has set the pod to not ready: it gives no reason and leaves the other conditions as they are. The
 * kubelet always gives a reason.
 */
function isUnreachable(pod: Pod): boolean {
  const condition = (wanted: string) => pod.status?.conditions?.find(({ type }) => type === wanted);
  const ready = condition('Ready');
  return (
    ready?.status === 'False' &&
    (ready.reason ?? '') === '' &&
    condition('ContainersReady')?.status === 'True' &&
    isPortOpen(pod)
  );
}

// The deletion timestamp is the end of the grace period.
function isOverdue({ metadata: { deletionTimestamp }, spec }: Pod, now: number): boolean {
  return (
    deletionTimestamp !== undefined &&
    spec?.nodeName !== undefined &&
    now - Date.parse(deletionTimestamp) > STOP_GRACE_MS
  );
}
