/** Reads the results that cleanup and sweep pods leave in their termination message. */
import type { Job, Pod } from '../kube/types/builtins.ts';
import { CLEANUP_CONTAINER } from '../resources/cleanup-pod.ts';
import { type CleanupResult, parseCleanupResult } from '../resources/cleanup-result.ts';

/** Label with the UID of the Job that a pod belongs to. */
export const JOB_UID_LABEL = 'batch.kubernetes.io/controller-uid';

/** The result of a Job's pod. A pod that was killed, or never started, leaves none. */
export function jobResult({ metadata: { uid } }: Job, pods: readonly Pod[]): CleanupResult | undefined {
  for (const pod of pods) {
    if (uid === undefined || pod.metadata.labels?.[JOB_UID_LABEL] !== uid) continue;
    const result = podResult(pod)?.result;
    if (result !== undefined) return result;
  }
  return undefined;
}

/** The result of one pod and when it ended (RFC 3339; null: unknown). Undefined: it left no result. */
export function podResult({ status }: Pod): { result: CleanupResult; time: string | null } | undefined {
  const end = status?.containerStatuses?.find(({ name }) => name === CLEANUP_CONTAINER)?.state?.terminated;
  const result = parseCleanupResult(end?.message ?? '');
  return result && { result, time: end?.finishedAt ?? null };
}
