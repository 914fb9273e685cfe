/** Where the pod of a server may run. */
import { serverPods } from '../../../resources/names.ts';
import type { PodSpec } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';

type Affinity = NonNullable<PodSpec['affinity']>;

/**
 * The tenant's affinity, and an anti-affinity of the server to itself: a second pod, such as of `kubectl scale` or beside one that is
 * still terminating, is not scheduled and so never mounts the volume. All nodes have the same value of this label, so that it
 * holds for the whole cluster: several nodes can mount an NFS volume, whatever its access mode.
 */
export function serverAffinity(tenant: CopilotTenant, index: number): Affinity {
  const { affinity } = tenant.spec.server;
  const itself = {
    labelSelector: { matchLabels: serverPods(tenant.metadata.name, index) },
    // Of the same ReplicaSet: anybody who creates pods can copy the other labels, and would keep the server from starting again.
    matchLabelKeys: ['pod-template-hash'],
    topologyKey: 'kubernetes.io/os',
  };
  const { podAntiAffinity } = affinity ?? {};
  const required = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  return {
    ...affinity,
    podAntiAffinity: { ...podAntiAffinity, requiredDuringSchedulingIgnoredDuringExecution: [...required, itself] },
  };
}
