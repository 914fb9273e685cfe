/** Metadata that all children have in common. */
import { controllerRef } from '../../kube/types/owner.ts';
import type { ObjectMeta } from '../../kube/types/types.ts';
import { serverLabels, tenantLabels } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';

/** Metadata of an object that all servers share. The tenant owns it. */
export function sharedMetadata(tenant: CopilotTenant, name: string): ObjectMeta {
  return {
    name,
    ...namespaceOf(tenant),
    labels: tenantLabels(tenant.metadata.name),
    ownerReferences: [controllerRef(tenant)],
  };
}

/** Metadata of an object of server `index`. The tenant owns it. */
export function serverMetadata(tenant: CopilotTenant, index: number, name: string): ObjectMeta {
  return {
    name,
    ...namespaceOf(tenant),
    labels: serverLabels(tenant.metadata.name, index),
    ownerReferences: [controllerRef(tenant)],
  };
}

function namespaceOf(tenant: CopilotTenant): { namespace?: string } {
  const { namespace } = tenant.metadata;
  return namespace === undefined ? {} : { namespace };
}
