/** Finds the cleanup run that has started and not ended, and what its events are read of. */
import type { CronJob, Job, Pod } from '../kube/types/builtins.ts';
import type { KubeObject } from '../kube/types/types.ts';
import { type JobEnd, jobEnd, podsOf } from '../resources/job.ts';
import { cleanupContainer } from '../resources/cleanup-pod.ts';

/** A run that has not ended. */
export interface OpenRun {
  readonly job: Job;
  /** Undefined: the Job has none yet. */
  readonly pod?: Pod | undefined;
}

/** What runs are found in. */
export interface Runs {
  /** Undefined if it does not exist. */
  readonly cronJob?: CronJob | undefined;
  readonly jobs: readonly Job[];
  readonly pods: readonly Pod[];
}

/** How long after the end of our container the other containers of its pod may take to end, in ms: native sidecars stop then. */
const SIDECAR_GRACE_MS = 60_000;

/** The Jobs of the CronJob, whether the schedule or a user created them (`kubectl create job --from`). */
export function jobsOf({ cronJob, jobs }: Omit<Runs, 'pods'>): Job[] {
  const uid = cronJob?.metadata.uid;
  return jobs.filter(
    ({ metadata }) => uid !== undefined && metadata.ownerReferences?.some((owner) => owner.uid === uid) === true,
  );
}

/** The run that keeps the next one from starting (`concurrencyPolicy: Forbid`). */
export function openRun(runs: Runs): OpenRun | undefined {
  const job = jobsOf(runs).find(
    (candidate) => candidate.metadata.creationTimestamp !== undefined && jobEnd(candidate) === undefined,
  );
  return job && { job, pod: podOf(job, runs.pods) };
}

/** The newest pod of a Job. */
export function podOf(job: Job, pods: readonly Pod[]): Pod | undefined {
  return podsOf(job, pods)
    .toSorted((a, b) => (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? ''))
    .at(-1);
}

/**
 * How the work of a Job ended: the Job itself, or our container while a sidecar that a webhook injected keeps the Job from completing.
 * `pending`: our container has ended, and the Job is waited for until then (ms since the epoch).
 */
export function runEnd(
  job: Job,
  pods: readonly Pod[],
  now: number,
): { readonly end?: JobEnd; readonly keptOpen?: boolean; readonly pending?: number } {
  const end = jobEnd(job);
  if (end !== undefined) return { end };
  const pod = podOf(job, pods);
  const terminated = cleanupContainer(pod)?.state?.terminated;
  // A pod that has ended ends its Job soon, and one that is retried has another pod.
  if (pod?.status?.phase !== 'Running' || !terminated?.finishedAt) return {};
  const { finishedAt, exitCode } = terminated;
  const due = Date.parse(finishedAt) + SIDECAR_GRACE_MS;
  if (now < due) return { pending: due };
  const failure = exitCode === 0 ? undefined : `its container exited with code ${exitCode}`;
  return { end: { job, time: finishedAt, failure }, keptOpen: true };
}

/** The object whose events may say why the run does not start. */
export function eventSubjectOf({ job, pod }: OpenRun): KubeObject | undefined {
  if (pod === undefined) return job;
  const { reason } = cleanupContainer(pod)?.state?.waiting ?? {};
  return pod.status?.phase === 'Pending' && reason === 'ContainerCreating' ? pod : undefined;
}

/** The last Job that reached its deadline and is not in the status yet. */
export function uncountedTimeOut(
  runs: Omit<Runs, 'pods'>,
  last: { readonly time: string } | undefined,
): Job | undefined {
  return jobsOf(runs)
    .flatMap((job) => jobEnd(job) ?? [])
    .filter(({ time, failure }) => failure?.startsWith('DeadlineExceeded') === true && time >= (last?.time ?? ''))
    .toSorted((a, b) => a.time.localeCompare(b.time))
    .at(-1)?.job;
}
