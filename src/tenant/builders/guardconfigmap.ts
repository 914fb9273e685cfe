/** The ConfigMap with the keys by which the guards of a tenant's servers verify grants. */
import { ConfigMap } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { GuardPath } from '../../resources/guard-protocol.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/** `publicKeys`: as PEM, one behind the other. No Secret: who has them can verify grants, and sign none. */
export function guardConfigMap(tenant: CopilotTenant, publicKeys: string): ConfigMap {
  return {
    apiVersion: apiVersionOf(ConfigMap),
    kind: ConfigMap.kind,
    metadata: sharedMetadata(tenant, childName(tenant.metadata.name, 'guard')),
    data: { [GuardPath.keyFile]: publicKeys },
  };
}
