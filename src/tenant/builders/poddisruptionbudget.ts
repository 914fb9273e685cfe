/** The PodDisruptionBudget of the servers. */
import { PodDisruptionBudget } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName, tenantPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/**
 * Allows the eviction of one server at a time. It never blocks a node drain: a single server may be evicted, and so may a
 * server that is not ready.
 */
export function podDisruptionBudget(tenant: CopilotTenant): PodDisruptionBudget {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(PodDisruptionBudget),
    kind: PodDisruptionBudget.kind,
    metadata: sharedMetadata(tenant, childName(name, 'servers')),
    spec: {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: tenantPods(name) },
    },
  };
}
