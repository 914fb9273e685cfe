/** Whether nothing of a pod runs any more, as far as the cluster can say. */
import type { KubeClient } from '../kube/client/client.ts';
import { Pod } from '../kube/types/builtins.ts';
import { fromKey } from '../kube/types/types.ts';
import type { EpochHolder } from './guard-protocol.ts';

/**
 * A pod is deleted when its kubelet has said that its containers have stopped, or by force, or because its Node object was deleted: then
 * whoever did that has said so. It is asked of the API server and of no cache, which may lack a pod that was just created, and not by labels, which a user may have removed.
 */
export async function isPodGone(client: Pick<KubeClient, 'listAll'>, { server, pod }: EpochHolder): Promise<boolean> {
  const { namespace } = fromKey(server);
  const { items } = await client.listAll(Pod, { namespace });
  return items.every(({ metadata }) => metadata.uid !== pod);
}
