import { PodDisruptionBudget } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName, tenantPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/**
 * Evictions take one server of the tenant at a time. It never blocks a drain for good: the only server may go (its
 * volume follows it to the next node), and one that is not ready counts for nothing and may always go.
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
