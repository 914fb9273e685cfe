/** What became of the runs of a tenant's cleanup, and what is to be said of them. */
import type { LastCleanup } from '../../api/tenant-status.ts';
import type { CronJob, Job, Pod } from '../../kube/types/builtins.ts';
import type { CleanupResult } from '../../resources/cleanup-result.ts';
import { jobEnd, type JobEnd } from '../../resources/job.ts';
import { jobResult } from '../termination-message.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { CleanupWorld } from '../model.ts';

/** A run that has ended. */
export type CleanupRun = Omit<LastCleanup, 'failuresInARow'>;

export interface CleanupRunsInput {
  /** Absent: none is wanted, or none is there. */
  readonly cronJob: CronJob | undefined;
  readonly jobs: readonly Job[];
  readonly pods: readonly Pod[];
  /** What the status says of the last run that was counted. */
  readonly last: LastCleanup | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

export interface CleanupRuns {
  readonly last: LastCleanup | undefined;
  /** The runs that were not counted before, oldest first. */
  readonly counted: readonly CleanupRun[];
  /** When a run that has ended is to be looked at again, in ms. */
  readonly dueInMs?: number | undefined;
}

/** Longest message of a run, in characters; the CRD's bound. */
const MAX_MESSAGE = 1024;
/** For how long a Job that has ended waits for the result of its pod, in ms: pods come by a watch of their own. */
export const RESULT_WAIT_MS = 10_000;
/**
 * How long after its second a run is counted, in ms. Times are in whole seconds and the status names one run, so runs of the same
 * second are counted together: one that was seen after another was counted would be lost if its name came first.
 */
const SAME_SECOND_MS = 2000;

/**
 * Counts the runs that have ended since the last one that the status tells of. Whether a Job was made by the schedule or
 * by hand (`kubectl create job --from`) makes no difference: it is the CronJob's.
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
    // An end in the future is of another clock, and says nothing about what is still to come.
    if (ageMs >= 0 && ageMs < SAME_SECOND_MS) return { last: latest, counted, dueInMs: SAME_SECOND_MS - ageMs };
    const result = jobResult(end.job, pods);
    const waitMs = RESULT_WAIT_MS - ageMs;
    // Those after it wait with it: what is older than the last one told is never told.
    if (result === undefined && waitMs > 0) return { last: latest, counted, dueInMs: Math.min(waitMs, RESULT_WAIT_MS) };
    const run = toRun(end, result);
    counted.push(run);
    latest = { ...run, failuresInARow: run.result === 'Failed' ? (latest?.failuresInARow ?? 0) + 1 : 0 };
  }
  return { last: latest, counted };
}

/** The same of a tenant: of one without a TTL there are none. */
export function cleanupRunsOf({ spec, status }: CopilotTenant, world: CleanupWorld, now: number): CleanupRuns {
  if (spec.sessions.ttl === undefined) return { last: undefined, counted: [] };
  const { cronJob, jobs, pods } = world;
  return cleanupRuns({ cronJob, jobs, pods, last: status?.lastCleanup, now });
}

/** Times of one form compare as text; the name decides between runs that ended in the same second. */
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
