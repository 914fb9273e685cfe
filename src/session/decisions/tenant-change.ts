import { isDeepStrictEqual } from 'node:util';
import { ConditionType } from '../../api/conditions.ts';
import { findCondition } from '../../kube/write/conditions.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';

/** Whether a change of a tenant is one that its sessions have to be looked at for. Most are not, and there may be hundreds of sessions. */
export function affectsSessions(old: CopilotTenant, tenant: CopilotTenant): boolean {
  return !isDeepStrictEqual(concerns(old), concerns(tenant));
}

function concerns({ metadata, spec, status }: CopilotTenant): unknown {
  const conditions = [ConditionType.Ready, ConditionType.Healthy].map((type) => {
    const condition = findCondition(status?.conditions, type);
    return [condition?.status, condition?.reason];
  });
  return {
    uid: metadata.uid,
    deleting: metadata.deletionTimestamp !== undefined,
    suspend: spec.suspend,
    replicas: spec.replicas,
    reclaimPolicy: spec.storage.reclaimPolicy,
    conditions,
    // What a deletion on the volume waits for.
    existing: status?.replicas,
    observed: status?.observedGeneration === metadata.generation,
    failed: (status?.servers ?? []).filter(({ state }) => state === 'Failed').map(({ name }) => name),
  };
}
