/** Decides why the Job that removes deleted sessions from a volume does not start: its deletions are given up at a deadline. */
import type { Job, Pod } from '../../kube/types/builtins.ts';
import { isSuspended, podsOf } from '../../resources/job.ts';
import { detail, withoutPodName } from '../../resources/quote.ts';

/** How long a Job may take to start before the reason is reported, in ms: each change of the text is a write for each session. */
export const START_GRACE_MS = 60_000;

/** What is decided from. */
export interface JobWaitInput {
  readonly job: Job;
  /** Pods of the tenant that belong to no server. */
  readonly pods: readonly Pod[];
  /** The latest event of the Job about a pod that could not be created. */
  readonly refused?: string | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** The end of a sentence about the Job; undefined: it runs, or may still start. */
export function whyJobWaits({ job, pods, refused, now }: JobWaitInput): string | undefined {
  if (now - Date.parse(job.metadata.creationTimestamp ?? '') < START_GRACE_MS) return undefined;
  if (isSuspended(job)) {
    return 'the Job is suspended: exclude the namespace from the controller that suspends its Jobs, such as Kueue';
  }
  const own = podsOf(job, pods);
  if (own.length === 0) {
    return refused === undefined ? undefined : `its pod cannot be created${detail(withoutPodName(refused))}`;
  }
  const scheduled = own.flatMap(({ status }) => status?.conditions ?? []).find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status !== 'False') return undefined;
  if (scheduled.reason !== 'SchedulingGated') return `its pod cannot be scheduled${detail(scheduled.message)}`;
  const gates = own.flatMap(({ spec }) => spec?.schedulingGates ?? []).map(({ name }) => name);
  return `its pod waits for scheduling gates${detail(gates.join(', '))}`;
}
