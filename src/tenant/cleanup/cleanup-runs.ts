/** Counts the runs of a tenant's cleanup that have ended, with their results. */
import type { LastCleanup } from '../../api/tenant-status.ts';
import type { CronJob, Job, Pod } from '../../kube/types/builtins.ts';
import type { CleanupResult } from '../../resources/cleanup-result.ts';
import { jobEnd, type JobEnd } from '../../resources/job.ts';
import { blockedRun } from './blocked-run.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { CleanupWorld } from '../model.ts';
import { jobResult } from '../termination-message.ts';

/** One run that has ended. */
export type CleanupRun = Omit<LastCleanup, 'failuresInARow'>;

/** What runs are counted from. */
export interface CleanupRunsInput {
  /** Undefined if it does not exist. */
  readonly cronJob: CronJob | undefined;
  readonly jobs: readonly Job[];
  readonly pods: readonly Pod[];
  /** The last counted run, from the status. */
  readonly last: LastCleanup | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** The counted runs. */
export interface CleanupRuns {
  /** The last run to report; undefined: no run has ended yet. */
  readonly last: LastCleanup | undefined;
  /** The runs that were not counted before, oldest first. */
  readonly counted: readonly CleanupRun[];
  /** Why a run that has started cannot end. */
  readonly blocked?: string | undefined;
  /** When a run that has ended can be counted, or one that has not counts as blocked, in ms. */
  readonly dueInMs?: number | undefined;
}

/** Longest message of a run, in characters; the CRD's bound. */
const MAX_MESSAGE = 1024;
/** How long the result of a finished Job's pod is waited for, in ms: pods have their own watch, which may be late. */
export const RESULT_WAIT_MS = 10_000;
/**
 * How long after its end a run is counted at the earliest, in ms. Times have whole seconds and the status names one run, so runs of
 * one second are counted together: a second one that is observed later would be lost if its name sorted first.
 */
const SAME_SECOND_MS = 2000;

/**
 * Counts the runs that have ended since the last one in the status. A Job counts whether the schedule or a user created it
 * (`kubectl create job --from`): both are owned by the CronJob.
 */
export function cleanupRuns({ cronJob, jobs, pods, last, now }: CleanupRunsInput): CleanupRuns {
  const uid = cronJob?.metadata.uid;
  const ended = jobs
    .filter(({ metadata }) => uid !== undefined && metadata.ownerReferences?.some((owner) => owner.uid === uid))
    .flatMap((job) => jobEnd(job) ?? [])
    .filter((end) => last === undefined || runOrder(end.time, end.job.metadata.name) > runOrder(last.time, last.job))
    .toSorted((a, b) => (runOrder(a.time, a.job.metadata.name) < runOrder(b.time, b.job.metadata.name) ? -1 : 1));
  const counted: CleanupRun[] = [];
  let latest = last;
  for (const end of ended) {
    const ageMs = now - Date.parse(end.time);
    // An end in the future comes from a clock that is ahead; waiting for it would not help.
    if (ageMs >= 0 && ageMs < SAME_SECOND_MS) return { last: latest, counted, dueInMs: SAME_SECOND_MS - ageMs };
    const result = jobResult(end.job, pods);
    const waitMs = RESULT_WAIT_MS - ageMs;
    // Later runs wait too: a run that is older than the last one in the status is never counted.
    if (result === undefined && waitMs > 0) return { last: latest, counted, dueInMs: Math.min(waitMs, RESULT_WAIT_MS) };
    const run = toRun(end, result);
    counted.push(run);
    latest = { ...run, failuresInARow: run.result === 'Failed' ? (latest?.failuresInARow ?? 0) + 1 : 0 };
  }
  return { last: latest, counted };
}

/** The runs of a tenant; none if it has no TTL. */
export function cleanupRunsOf({ spec, status }: CopilotTenant, world: CleanupWorld, now: number): CleanupRuns {
  if (spec.sessions.ttl === undefined) return { last: undefined, counted: [] };
  const { cronJob, jobs, pods } = world;
  const runs = cleanupRuns({ cronJob, jobs, pods, last: status?.lastCleanup, now });
  const { blocked, dueInMs } = blockedRun(cronJob, jobs, now);
  const dues = [runs.dueInMs, dueInMs].flatMap((due) => due ?? []);
  return { ...runs, blocked, ...(dues.length > 0 && { dueInMs: Math.min(...dues) }) };
}

/** Timestamps compare as text; the name decides between runs that ended in the same second. */
const runOrder = (time: string, job: string): string => `${time} ${job}`;

function toRun({ job, time, failure }: JobEnd, result: CleanupResult | undefined): CleanupRun {
  const failed = failure !== undefined || result?.result === 'Failed';
  const message = (result?.message ?? `The Job failed: ${failure ?? 'no reason given'}.`).slice(0, MAX_MESSAGE);
  return {
    time,
    job: job.metadata.name,
    result: failed ? 'Failed' : 'Succeeded',
    ...(result?.dryRun === true && { dryRun: true }),
    ...(result && {
      kept: result.kept,
      deleted: result.deleted,
      freedBytes: result.freedBytes,
      sweptFiles: result.sweptFiles,
      errors: result.errors,
    }),
    ...(failed && { message }),
  };
}
