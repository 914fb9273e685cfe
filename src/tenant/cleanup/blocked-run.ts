/** Decides whether a cleanup run has started and cannot end, which keeps the next one from starting (`concurrencyPolicy: Forbid`). */
import type { CronJob, Job } from '../../kube/types/builtins.ts';
import { jobEnd } from '../../resources/job.ts';

/** How long a Job may be suspended, in ms: queues admit Jobs after some time. */
const SUSPENDED_GRACE_MS = 10 * 60_000;
/** Longer than the deadline of a run (builders/cronjob.ts), in ms. */
const MAX_RUN_MS = 35 * 60_000;

/** Why the open run cannot end, or in how many ms it will count as blocked. */
export interface BlockedRun {
  readonly blocked?: string | undefined;
  readonly dueInMs?: number | undefined;
}

/** `now`: wall clock, ms. */
export function blockedRun(cronJob: CronJob | undefined, jobs: readonly Job[], now: number): BlockedRun {
  const uid = cronJob?.metadata.uid;
  const open = jobs.find(
    (job) =>
      uid !== undefined &&
      job.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true &&
      job.metadata.creationTimestamp !== undefined &&
      jobEnd(job) === undefined,
  );
  if (open === undefined) return {};
  const { name, creationTimestamp = '' } = open.metadata;
  const isSuspended =
    open.status?.conditions?.some(({ type, status }) => type === 'Suspended' && status === 'True') === true;
  const dueInMs = Date.parse(creationTimestamp) + (isSuspended ? SUSPENDED_GRACE_MS : MAX_RUN_MS) - now;
  if (dueInMs > 0) return { dueInMs };
  return {
    blocked: isSuspended
      ? `Job ${name} is suspended, and no other cleanup run starts until it has ended. Exclude the namespace from the controller that suspends its Jobs, such as Kueue, or run kubectl delete job ${name}.`
      : `Job ${name} has not ended within its deadline, and no other cleanup run starts until it has. Find the cause with kubectl describe job ${name}, then run kubectl delete job ${name}.`,
  };
}
