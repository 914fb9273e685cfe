/** Which changes of a tenant its sessions are reconciled for. */
import { isDeepStrictEqual } from 'node:util';
import { ConditionType } from '../../api/conditions.ts';
import { findCondition } from '../../kube/write/conditions.ts';
import { isStopped, isTenantPaused, type CopilotTenant } from '../../resources/tenant.ts';

/** Whether the tenant's sessions have to be reconciled for this change. For most they need not be, and there may be hundreds of sessions. */
export function affectsSessions(old: CopilotTenant, tenant: CopilotTenant): boolean {
  return !isDeepStrictEqual(relevantFields(old), relevantFields(tenant));
}

function relevantFields(tenant: CopilotTenant): unknown {
  const { metadata, spec, status } = tenant;
  const conditions = [ConditionType.Ready, ConditionType.Healthy].map((type) => {
    const condition = findCondition(status?.conditions, type);
    return [condition?.status, condition?.reason];
  });
  return {
    uid: metadata.uid,
    deleting: metadata.deletionTimestamp !== undefined,
    paused: isTenantPaused(tenant),
    stopped: isStopped(tenant),
    replicas: spec.replicas,
    reclaimPolicy: spec.storage.reclaimPolicy,
    conditions,
    // A deletion on the volume waits for these.
    existing: status?.replicas,
    observed: status?.observedGeneration === metadata.generation,
    failed: (status?.servers ?? []).filter(({ state }) => state === 'Failed').map(({ name }) => name),
  };
}
