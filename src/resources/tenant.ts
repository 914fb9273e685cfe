/** CopilotTenant as a resource of the client. */
import { Annotation, COPILOT_TENANT } from '../api/names.ts';
import type { CopilotTenant as CopilotTenantOf } from '../api/tenant.ts';
import { defineResource } from '../kube/types/resource.ts';
import type { KubeObject } from '../kube/types/types.ts';

/** The tenant as it is in the API: type and resource share a name, as with the built-in kinds of src/kube. */
export type CopilotTenant = CopilotTenantOf<KubeObject>;
export const CopilotTenant = defineResource<CopilotTenant>(COPILOT_TENANT);

/** Whether a user has paused the tenant: then nothing of it is written but the status, and no session of it is removed. */
export function isTenantPaused({ metadata }: CopilotTenant): boolean {
  return metadata.annotations?.[Annotation.paused] === 'true';
}

/** Whether all servers of the tenant share one volume, and any of them resumes any session. */
export function isSharedStorage({ spec }: Pick<CopilotTenant, 'spec'>): boolean {
  return spec.topology === 'SharedStorage';
}

/** Whether no server of the tenant is to run: a user has suspended it, or it sleeps. */
export function isStopped(tenant: Pick<CopilotTenant, 'spec' | 'status'>): boolean {
  return tenant.spec.suspend || isAsleep(tenant);
}

/** Whether the tenant sleeps: its servers have stopped, or are being stopped. One that drains serves still. */
export function isAsleep({ status }: Pick<CopilotTenant, 'status'>): boolean {
  const phase = status?.hibernation?.phase;
  return phase === 'Stopping' || phase === 'Stopped';
}
