/** Reads the results that cleanup and sweep pods leave in their termination message. */
import type { Job, Pod } from '../kube/types/builtins.ts';
import { getControllerOf } from '../kube/types/owner.ts';
import { CLEANUP_CONTAINER } from './cleanup-pod.ts';
import { type CleanupResult, parseCleanupResult } from './cleanup-result.ts';

/** The result of a Job's pod. A pod that was killed, or never started, leaves none. */
export function jobResult(job: Job, pods: readonly Pod[]): CleanupResult | undefined {
  return jobResults(job, pods)[0];
}

/** The results of all pods of a Job that tries again. */
export function jobResults({ metadata: { uid } }: Job, pods: readonly Pod[]): CleanupResult[] {
  const own = pods.filter((pod) => uid !== undefined && getControllerOf(pod)?.uid === uid);
  return own.flatMap((pod) => podResult(pod)?.result ?? []);
}

/** The pods of these Jobs, by UID: labels are the pod creator's to choose. */
export function podsOfJobs({ jobs, pods }: { readonly jobs: readonly Job[]; readonly pods: readonly Pod[] }): Pod[] {
  const uids = new Set(jobs.map(({ metadata }) => metadata.uid));
  return pods.filter((pod) => uids.has(getControllerOf(pod)?.uid ?? ''));
}

/** The result of one pod and when it ended (RFC 3339; null: unknown). Undefined: it left no result. */
export function podResult({ status }: Pod): { result: CleanupResult; time: string | null } | undefined {
  const end = status?.containerStatuses?.find(({ name }) => name === CLEANUP_CONTAINER)?.state?.terminated;
  const result = parseCleanupResult(end?.message ?? '');
  return result && { result, time: end?.finishedAt ?? null };
}
