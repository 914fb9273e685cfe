/** The replicas of the gateway, from the EndpointSlices of its Service. */
import type { KubeClient } from '../kube/client/client.ts';
import { EndpointSlice } from '../kube/types/builtins.ts';

/** A pod of the gateway. */
export interface Replica {
  readonly address: string;
  /** One that starts or stops need not answer. */
  readonly isReady: boolean;
}

/** The Service of the gateway. */
export interface GatewayService {
  readonly client: Pick<KubeClient, 'listAll'>;
  /** The operator's own namespace, where the gateway is. */
  readonly namespace: string;
  /** Its EndpointSlices list the replicas. */
  readonly service: string;
}

/** Lists the replicas, also those that start or stop. */
export async function listReplicas(
  { client, namespace, service }: GatewayService,
  signal: AbortSignal,
): Promise<Replica[]> {
  const labelSelector = `kubernetes.io/service-name=${service}`;
  const { items } = await client.listAll(EndpointSlice, { namespace, labelSelector, signal });
  return replicasOf(items);
}

/** The replicas of a Service, each once: during a change an address may be in two slices. */
export function replicasOf(slices: readonly EndpointSlice[]): Replica[] {
  const found = new Map<string, boolean>();
  // Null in a slice that has none: the API server leaves no empty list out.
  for (const { addresses, conditions } of slices.flatMap(({ endpoints }) => endpoints ?? [])) {
    const [address] = addresses;
    // Absent means ready, by the definition of the field.
    if (address !== undefined) found.set(address, (found.get(address) ?? false) || conditions?.ready !== false);
  }
  return Array.from(found, ([address, isReady]) => ({ address, isReady }));
}
