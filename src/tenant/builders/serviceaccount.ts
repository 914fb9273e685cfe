/** The ServiceAccount of the servers. */
import { ServiceAccount } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/** Has no permissions and no token; the ServiceAccount `default` may have both. */
export function serviceAccount(tenant: CopilotTenant): ServiceAccount {
  const annotations = tenant.spec.pods?.serviceAccountAnnotations;
  return {
    apiVersion: apiVersionOf(ServiceAccount),
    kind: ServiceAccount.kind,
    metadata: {
      ...sharedMetadata(tenant, childName(tenant.metadata.name, 'servers')),
      ...(annotations && { annotations }),
    },
    automountServiceAccountToken: false,
  };
}
