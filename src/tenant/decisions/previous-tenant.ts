/** Reports that a tenant waits for objects of a previous tenant of the same name. */
import { ReconcilingReason } from '../../api/conditions.ts';
import type { KubeObject } from '../../kube/types/types.ts';
import type { Wait } from '../model.ts';

/** What a tenant waits for while `object`, owned by a previous tenant of its name, still exists. */
export function waitForPreviousTenant({ kind, metadata }: KubeObject): Wait {
  const finalizers = metadata.deletionTimestamp === undefined ? [] : (metadata.finalizers ?? []).filter(isThirdParty);
  const blocked =
    finalizers.length > 0
      ? ` It is blocked by the finalizer ${finalizers.join(', ')}, which the controller that set it has to remove.`
      : '';
  return {
    reason: ReconcilingReason.WaitingForDeletion,
    message: `Waiting for ${kind} ${metadata.name} of a previous tenant of the same name to be deleted.${blocked}`,
  };
}

// Those of Kubernetes itself (kubernetes.io/pvc-protection, foregroundDeletion, orphan) are removed without user action.
function isThirdParty(finalizer: string): boolean {
  return finalizer.includes('/') && !finalizer.startsWith('kubernetes.io/');
}
