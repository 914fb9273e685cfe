/** What the pods of cleanups and sweeps leave in their container status when they end. */
import type { Job, Pod } from '../kube/types/builtins.ts';
import { CLEANUP_CONTAINER } from '../resources/cleanup-pod.ts';
import { parseCleanupResult, type CleanupResult } from '../resources/cleanup-result.ts';

/** On the pods of a Job: its UID. */
export const JOB_UID_LABEL = 'batch.kubernetes.io/controller-uid';

/** What the pod said when it ended. A pod that was killed, or never started, said nothing. */
export function jobResult({ metadata: { uid } }: Job, pods: readonly Pod[]): CleanupResult | undefined {
  for (const pod of pods) {
    if (uid === undefined || pod.metadata.labels?.[JOB_UID_LABEL] !== uid) continue;
    const result = podResult(pod)?.result;
    if (result !== undefined) return result;
  }
  return undefined;
}

/** The last result of one pod of a cleanup, and when it said that (RFC 3339, null: nobody knows). Undefined: it said nothing. */
export function podResult({ status }: Pod): { result: CleanupResult; time: string | null } | undefined {
  const end = status?.containerStatuses?.find(({ name }) => name === CLEANUP_CONTAINER)?.state?.terminated;
  const result = parseCleanupResult(end?.message ?? '');
  return result && { result, time: end?.finishedAt ?? null };
}
