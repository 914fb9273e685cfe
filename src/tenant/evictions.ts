/**
 * Finds out which pods of servers ended because the kubelet evicted them. The status of a pod whose server ended gracefully, with code
 * 0, does not show it; only the kubelet's event does.
 */
import type { KubeClient } from '../kube/client/client.ts';
import { CoreEvent, type Pod } from '../kube/types/builtins.ts';
import { isForbidden } from '../kube/types/errors.ts';
import type { ServerWorld } from './model.ts';
import { serverContainer } from './pods.ts';

const EVICTED = 'Evicted';

/** The servers with the reason and message of such pods as in the status of any other evicted pod. */
export async function withEvictions(
  servers: ReadonlyMap<number, ServerWorld>,
  client: KubeClient,
  signal: AbortSignal,
): Promise<Map<number, ServerWorld>> {
  const found = await Promise.all(
    [...servers].map(async ([index, server]) => {
      if (!server.pods.some(endedGracefully)) return [index, server] as const;
      const pods = await Promise.all(server.pods.map((pod) => withEviction(pod, client, signal)));
      return [index, { ...server, pods }] as const;
    }),
  );
  return new Map(found);
}

async function withEviction(pod: Pod, client: KubeClient, signal: AbortSignal): Promise<Pod> {
  if (!endedGracefully(pod)) return pod;
  const message = await evictionMessage(pod, client, signal);
  return message === undefined ? pod : { ...pod, status: { ...pod.status, reason: EVICTED, message } };
}

// A server has no reason of its own to end without an error.
function endedGracefully(pod: Pod): boolean {
  const { metadata, status } = pod;
  if (metadata.deletionTimestamp !== undefined || status?.reason !== undefined) return false;
  return status?.phase === 'Succeeded' || serverContainer(pod)?.state?.terminated?.exitCode === 0;
}

async function evictionMessage(
  { metadata: { namespace, uid } }: Pod,
  client: KubeClient,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const fieldSelector = `involvedObject.uid=${uid},reason=${EVICTED}`;
    const { items } = await client.list(CoreEvent, { namespace, fieldSelector, signal });
    return items.find(({ message }) => message !== undefined)?.message;
  } catch (error) {
    // Events only add details to a cause, so it is reported without them.
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
