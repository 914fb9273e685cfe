/** How far the Job of a volume is with one deleted session, and whether the next Job may take its place. */
import type { Job, Pod } from '../../kube/types/builtins.ts';
import type { DeletionOutcome } from '../../resources/cleanup-result.ts';
import { jobEnd } from '../../resources/job.ts';
import { jobResults, RESULT_WAIT_MS } from '../../resources/termination-message.ts';
import { ACTIVE_DEADLINE_SECONDS, removedBy } from '../builders/removaljob.ts';

/** From the deadline of a Job to the report of its end, ms. */
const END_MS = 60_000;

/**
 * `Waiting`: the Job has not ended, or its result is not known yet. `Deleted`, `NotFound`, `OwnedByAnother`: it is done with the
 * session. `Failed`: it could not remove it. `Again`: it ended before it came to the session, or is about others.
 */
export type RemovalProgress =
  | { readonly state: 'Deleted' | 'NotFound' | 'OwnedByAnother' | 'Again' }
  | {
      readonly state: 'Waiting';
      /** Until then the session is not given up, ms since the epoch. */
      readonly until: number;
    }
  | { readonly state: 'Failed'; readonly message: string };

/** The best outcome is that of the session: a pod that takes the place of a failed one does not find what that has deleted. */
const RANK: readonly DeletionOutcome[] = ['Deleted', 'OwnedByAnother', 'NotFound', 'Failed'];

/** The progress of `job` with the session that has this UID, at `now` (ms). */
export function removalProgress(uid: string, job: Job, pods: readonly Pod[], now: number): RemovalProgress {
  const end = jobEnd(job);
  const place = removedBy(job).indexOf(uid);
  const results = place < 0 ? [] : jobResults(job, pods);
  const outcomes = results.flatMap(({ outcomes: found = [] }) => found[place] ?? []);
  const outcome = RANK.find((each) => outcomes.includes(each));
  // Also while the Job tries again for the sake of others.
  if (outcome !== undefined && outcome !== 'Failed') return { state: outcome };
  if (end === undefined || job.metadata.deletionTimestamp !== undefined)
    return { state: 'Waiting', until: untilOf(job) };
  if (place < 0) return { state: 'Again' };
  const resultDue = Date.parse(end.time) + RESULT_WAIT_MS;
  if (results.length === 0 && now < resultDue) return { state: 'Waiting', until: resultDue };
  // It has succeeded, and its result is lost: the data is deleted, or was not there, or is another's.
  if (end.failure === undefined) return { state: 'Deleted' };
  const message = results.find((result) => result.message !== undefined)?.message;
  if (outcome === 'Failed') return { state: 'Failed', message: message ?? end.failure };
  const cameToOthers = results.some(({ outcomes: others = [] }) => others.length > 0);
  return cameToOthers
    ? { state: 'Again' }
    : { state: 'Failed', message: message ?? (end.failure || 'no reason given') };
}

/** Whether a session of a finished Job may still have to read its outcome there. Not for long: it would only be looked for again. */
export function isStillRead(uid: string, job: Job, pods: readonly Pod[], now: number): boolean {
  const end = jobEnd(job);
  if (end === undefined || !removedBy(job).includes(uid) || now > Date.parse(end.time) + 2 * RESULT_WAIT_MS)
    return false;
  return removalProgress(uid, job, pods, now).state !== 'Again';
}

function untilOf({ metadata }: Job): number {
  const created = Date.parse(metadata.creationTimestamp ?? '');
  return Number.isNaN(created) ? 0 : created + ACTIVE_DEADLINE_SECONDS * 1000 + END_MS;
}
