/** The PodDisruptionBudget of the servers. */
import { PodDisruptionBudget } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName, tenantPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/**
 * Allows the eviction of one server at a time, or of none that is ready: then the operator replaces the pods of a cordoned node, each after
 * it was drained. A server that is not ready may always be evicted.
 */
export function podDisruptionBudget(tenant: CopilotTenant, refused = false): PodDisruptionBudget {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(PodDisruptionBudget),
    kind: PodDisruptionBudget.kind,
    metadata: sharedMetadata(tenant, childName(name, 'servers')),
    spec: {
      maxUnavailable: refused ? 0 : 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: tenantPods(name) },
    },
  };
}
