/** Deletes the ended pods of servers. */
import type { KubeClient } from '../kube/client/client.ts';
import { type Deployment, Pod, ReplicaSet } from '../kube/types/builtins.ts';
import { ignoreNotFound } from '../kube/types/not-found.ts';
import { getControllerOf, isControlledBy, refersTo } from '../kube/types/owner.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { ChildWriter } from './child-writer.ts';
import type { EndedPod } from './decisions/ended-pods.ts';
import type { ServerWorld } from './model.ts';

/** Returns those that were deleted. A pod that only has the labels of a server is left alone: who creates a pod chooses its labels. */
export async function deleteEndedPods(
  writer: ChildWriter,
  client: KubeClient,
  tenant: CopilotTenant,
  servers: ReadonlyMap<number, ServerWorld>,
  ended: readonly EndedPod[],
  signal: AbortSignal,
): Promise<EndedPod[]> {
  const deleted: EndedPod[] = [];
  for (const each of ended) {
    const deployment = servers.get(each.index)?.deployment;
    if (deployment === undefined || !isControlledBy(deployment, tenant)) continue;
    const isDeleted = await writer.deleteIf(Pod, each.pod, () => isPodOf(each.pod, deployment, client, signal));
    if (isDeleted) deleted.push(each);
  }
  return deleted;
}

/** Whether the Deployment created the pod, through a ReplicaSet. */
async function isPodOf(pod: Pod, deployment: Deployment, client: KubeClient, signal: AbortSignal): Promise<boolean> {
  const controller = getControllerOf(pod);
  if (controller === undefined || !refersTo(controller, ReplicaSet)) return false;
  const ref = { namespace: pod.metadata.namespace ?? '', name: controller.name };
  const replicaSet = await ignoreNotFound(client.get(ReplicaSet, ref, { signal }));
  return replicaSet?.metadata.uid === controller.uid && isControlledBy(replicaSet, deployment);
}
