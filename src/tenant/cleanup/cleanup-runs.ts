/** Counts the runs of a tenant's cleanup that have ended, with their results. */
import type { LastCleanup } from '../../api/tenant-status.ts';
import type { Job } from '../../kube/types/builtins.ts';
import type { CleanupResult } from '../../resources/cleanup-result.ts';
import type { JobEnd } from '../../resources/job.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { EventWarning } from '../../resources/event-warning.ts';
import type { CleanupWorld } from '../model.ts';
import { jobsOf, runEnd, type Runs } from '../open-run.ts';
import { jobResult, RESULT_WAIT_MS } from '../../resources/termination-message.ts';
import { runProblem, type RunProblem, startProblem } from './run-problem.ts';

/** One run that has ended. */
export type CleanupRun = Omit<LastCleanup, 'failuresInARow'>;

/** What runs are counted from. */
export interface CleanupRunsInput extends Runs {
  /** The latest Warning event of a Job that has no pod. */
  readonly warning?: EventWarning | undefined;
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
  /** Why the open run cannot start or end. */
  readonly problem: Omit<RunProblem, 'dueInMs'>;
  /** Jobs whose work is done and counted, and which a sidecar keeps from completing. */
  readonly keptOpen: readonly Job[];
  /** When a run that has ended can be counted, or one that has not counts as blocked, in ms. */
  readonly dueInMs?: number | undefined;
}

type Counted = Pick<CleanupRuns, 'last' | 'counted' | 'dueInMs'>;

/** Longest message of a run, in characters; the CRD's bound. */
const MAX_MESSAGE = 1024;
/**
 * How long after its end a run is counted at the earliest, in ms. Times have whole seconds and the status names one run, so runs of
 * one second are counted together: a second one that is observed later would be lost if its name sorted first.
 */
const SAME_SECOND_MS = 2000;

/**
 * Counts the runs that have ended since the last one in the status. A Job counts whether the schedule or a user created it
 * (`kubectl create job --from`): both are owned by the CronJob.
 */
export function cleanupRuns(input: CleanupRunsInput): Counted {
  const { pods, warning, last, now } = input;
  const ends = jobsOf(input).map((job) => runEnd(job, pods, now));
  const pendingMs = Math.min(...ends.flatMap(({ pending }) => (pending === undefined ? [] : [pending - now])));
  const ended = ends
    .flatMap(({ end }) => end ?? [])
    .filter((end) => !isCounted(end, last))
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
    const run = toRun(end, result, warning);
    counted.push(run);
    latest = { ...run, failuresInARow: run.result === 'Failed' ? (latest?.failuresInARow ?? 0) + 1 : 0 };
  }
  return { last: latest, counted, ...(pendingMs < Infinity && { dueInMs: pendingMs }) };
}

function isCounted({ time, job }: JobEnd, last: LastCleanup | undefined): boolean {
  return last !== undefined && runOrder(time, job.metadata.name) <= runOrder(last.time, last.job);
}

/** How often a Job that a sidecar keeps open is checked until its run is counted, in ms. */
const KEPT_OPEN_POLL_MS = 5_000;

/** The runs of a tenant; none if it has no TTL. */
export function cleanupRunsOf({ spec, status }: CopilotTenant, world: CleanupWorld, now: number): CleanupRuns {
  if (spec.sessions.ttl === undefined) return { last: undefined, counted: [], problem: {}, keptOpen: [] };
  const { warning, pods } = world;
  const last = status?.lastCleanup;
  const runs = cleanupRuns({ ...world, warning, last, now });
  const ends = jobsOf(world).map((job) => runEnd(job, pods, now));
  const open = ends.flatMap(({ end, keptOpen: isKeptOpen }) => (isKeptOpen && end !== undefined ? [end] : []));
  const keptOpen = open.filter((end) => isCounted(end, last)).map(({ job }) => job);
  // Its work is done, so that it is no run that waits.
  const { dueInMs, ...problem } = open.length > 0 ? {} : runProblem({ ...world, warning, now });
  const dues = [runs.dueInMs, dueInMs, open.length > 0 ? KEPT_OPEN_POLL_MS : undefined].flatMap((due) => due ?? []);
  return { ...runs, problem, keptOpen, ...(dues.length > 0 && { dueInMs: Math.min(...dues) }) };
}

/** Timestamps compare as text; the name decides between runs that ended in the same second. */
const runOrder = (time: string, job: string): string => `${time} ${job}`;

function toRun(
  { job, time, failure }: JobEnd,
  result: CleanupResult | undefined,
  warning: EventWarning | undefined,
): CleanupRun {
  const failed = failure !== undefined || result?.result === 'Failed';
  const timedOut = result === undefined && failure?.startsWith('DeadlineExceeded') === true;
  // Its pod is deleted by now. Without one there was an event of the Job, whose text explains the deadline.
  const why = timedOut ? startProblem(undefined, warning, job.metadata.name) : undefined;
  const message = (result?.message ?? `The Job failed: ${failure ?? 'no reason given'}.${why ? ` ${why}` : ''}`).slice(
    0,
    MAX_MESSAGE,
  );
  return {
    time,
    job: job.metadata.name,
    result: failed ? 'Failed' : 'Succeeded',
    ...(timedOut && { timedOut }),
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
