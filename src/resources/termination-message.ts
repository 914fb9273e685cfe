/** Reads the results that cleanup and sweep pods leave in their termination message. */
import type { Job, Pod } from '../kube/types/builtins.ts';
import { getControllerOf } from '../kube/types/owner.ts';
import { cleanupContainer } from './cleanup-pod.ts';
import { type CleanupResult, parseCleanupResult } from './cleanup-result.ts';
import { podsOf } from './job.ts';

/** How long the result of a finished Job's pod is waited for, in ms: pods have their own watch, which may be late. */
export const RESULT_WAIT_MS = 10_000;

/** The result of a Job's pod. A pod that was killed, or never started, leaves none. */
export function jobResult(job: Job, pods: readonly Pod[]): CleanupResult | undefined {
  return jobResults(job, pods)[0];
}

/** The results of all pods of a Job that tries again. */
export function jobResults(job: Job, pods: readonly Pod[]): CleanupResult[] {
  return podsOf(job, pods).flatMap((pod) => podResult(pod)?.result ?? []);
}

/** The pods of these Jobs, by UID: labels are the pod creator's to choose. */
export function podsOfJobs({ jobs, pods }: { readonly jobs: readonly Job[]; readonly pods: readonly Pod[] }): Pod[] {
  const uids = new Set(jobs.map(({ metadata }) => metadata.uid));
  return pods.filter((pod) => uids.has(getControllerOf(pod)?.uid ?? ''));
}

/** The result of one pod and when it ended (RFC 3339; null: unknown). Undefined: it left no result. */
export function podResult(pod: Pod): { result: CleanupResult; time: string | null } | undefined {
  const end = cleanupContainer(pod)?.state?.terminated;
  const result = parseCleanupResult(end?.message ?? '');
  return result && { result, time: end?.finishedAt ?? null };
}
