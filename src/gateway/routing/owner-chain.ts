/** Reads whose a pod is: its ReplicaSet, the Deployment of that, and what controls it, each by UID. */
import { Label } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import { Deployment, type Pod, ReplicaSet } from '../../kube/types/builtins.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { getControllerOf, refersTo } from '../../kube/types/owner.ts';
import type { ResourceType } from '../../kube/types/resource.ts';
import type { KubeObject } from '../../kube/types/types.ts';

/**
 * UID of the tenant that owns the server whose pod this is; undefined: it is no server's own. Labels prove nothing, because who creates a
 * pod chooses them, and the pod of a server is given the connection token.
 * @throws ApiError if an owner cannot be read
 */
export async function tenantUIDOf(
  client: Pick<KubeClient, 'get'>,
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  const replicaSet = await controllerOf(client, pod, ReplicaSet, signal);
  const deployment = replicaSet && (await controllerOf(client, replicaSet, Deployment, signal));
  if (deployment === undefined || deployment.metadata.name !== pod.metadata.labels?.[Label.server]) return undefined;
  return getControllerOf(deployment)?.uid;
}

async function controllerOf<T extends KubeObject>(
  client: Pick<KubeClient, 'get'>,
  object: KubeObject,
  type: ResourceType<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const reference = getControllerOf(object);
  if (reference === undefined || !refersTo(reference, type)) return undefined;
  const { namespace = '' } = object.metadata;
  const ref = { namespace, name: reference.name };
  const found = await ignoreNotFound(client.get(type, ref, { managedFields: false, signal }));
  return found?.metadata.uid === reference.uid ? found : undefined;
}
