import { COPILOT_TENANT } from '../api/names.ts';
import type { CopilotTenant as CopilotTenantOf } from '../api/tenant.ts';
import { defineResource } from '../kube/resource.ts';
import type { KubeObject } from '../kube/types.ts';

/** The tenant as it is in the API: type and resource share a name, as with the built-in kinds of src/kube. */
export type CopilotTenant = CopilotTenantOf<KubeObject>;
export const CopilotTenant = defineResource<CopilotTenant>(COPILOT_TENANT);

/** What the operator was told at its start and every tenant's children depend on. Fixed while the process runs. */
export interface OperatorFacts {
  /** Image of servers whose tenant names none. */
  readonly serverImage: string;
  /** Namespace that the operator runs in: the only one whose operator pods may ping servers. */
  readonly namespace: string;
  /** Address ranges of this cluster that lie in public space, which Restricted servers may not reach either. */
  readonly clusterCIDRs: readonly string[];
}
