/** Decides what to do about the sweep of one volume: a request is an annotation on the claim, a Job executes it. */
import type { Job, PersistentVolumeClaim, Pod } from '../../kube/types/builtins.ts';
import { ForeignObjectError, isControlledBy } from '../../kube/types/owner.ts';
import type { CleanupResult } from '../../resources/cleanup-result.ts';
import type { JobEnd } from '../../resources/job.ts';
import { isClaimOf, isOfPreviousTenant, serverName } from '../../resources/names.ts';
import { sweepAt } from '../../resources/sweep-request.ts';
import { isSharedStorage, isStopped, type CopilotTenant } from '../../resources/tenant.ts';
import type { ServerWorld, VolumeFacts } from '../model.ts';
import { runEnd } from '../open-run.ts';
import { isReady } from '../../resources/pod.ts';
import { servingPod } from '../pods.ts';
import { reportedUsage } from '../sessions/volume-usage.ts';
import { jobResult, RESULT_WAIT_MS } from '../../resources/termination-message.ts';
import { isReadWriteOncePod, isStopping } from './cleanup-scope.ts';
import { volumeCheckReason } from './volume-check.ts';

/** Delay after a failed sweep, in ms: causes of failure rarely disappear in minutes. */
export const SWEEP_RETRY_MS = 3_600_000;
/** Time to write a measurement into the status, in ms: the current reconcile does. */
const STATUS_WRITE_MS = 1_000;

/**
 * `request`: request a sweep, to measure the volume. `start`: create the Job. `clear`: the sweep succeeded, so remove the request.
 * `postpone`: it cannot be done now, so move the request to a later time. `deleteJob`: delete the Job. `wait`: nothing to do now.
 */
export type SweepDecision = { readonly index: number; readonly reason: string; readonly message: string } & (
  | {
      readonly action: 'start';
      readonly claim: PersistentVolumeClaim;
      readonly at: string;
      readonly besideServer: boolean;
    }
  | { readonly action: 'request'; readonly claim: PersistentVolumeClaim }
  | { readonly action: 'clear'; readonly claim: PersistentVolumeClaim }
  | { readonly action: 'postpone'; readonly claim: PersistentVolumeClaim; readonly until: number }
  | { readonly action: 'deleteJob'; readonly job: Job }
  | { readonly action: 'wait'; readonly dueInMs?: number | undefined }
);

/** What is decided from. */
export interface SweepInput {
  readonly tenant: CopilotTenant;
  readonly server: ServerWorld;
  /** The live object with the name of the sweep Job. */
  readonly job: Job | undefined;
  /** Pods of the tenant that belong to no server. */
  readonly pods: readonly Pod[];
  readonly volume: VolumeFacts;
  /** Whether the operator knows its own image, which sweep Jobs run. */
  readonly canSweep: boolean;
  /** Wall clock, ms. */
  readonly now: number;
}

/** Undefined: no sweep is requested or needed, and there is no Job. */
export function sweepDecision(input: SweepInput): SweepDecision | undefined {
  const { tenant, server, job, pods, now } = input;
  const { index } = server;
  const request = requestOn(tenant, server);
  const inUse = volumeInUse(tenant, server);
  if (job !== undefined && isControlledBy(job, tenant)) {
    const { end, pending } = runEnd(job, pods, now);
    if (end !== undefined) return finished(input, end, request);
    const waits = running(index, job, request, inUse);
    return pending !== undefined && waits.action === 'wait' ? { ...waits, dueInMs: pending - now } : waits;
  }
  if (request === undefined) return job === undefined && inUse === undefined ? checkVolume(input) : undefined;
  const dueInMs = request.time - now;
  if (dueInMs > 0) return waiting(index, 'NotDue', `The sweep is due at ${request.at}.`, dueInMs);
  if (job !== undefined) {
    if (isOfPreviousTenant(job, tenant))
      return waiting(
        index,
        'PreviousTenantJob',
        'Waiting for the Job of a previous tenant of the same name to be deleted.',
      );
    return postponedSweep(index, request.claim, now + SWEEP_RETRY_MS, new ForeignObjectError(job, job).message);
  }
  if (inUse !== undefined) return waiting(index, 'VolumeInUse', inUse);
  const { claim, at } = request;
  const runs = isExpected(tenant, server);
  const besideServer = runs && !isSharedStorage(tenant);
  const message = runs ? 'Sweeping the volume beside its running server.' : 'Sweeping the volume while no server runs.';
  return { index, action: 'start', reason: 'Due', message, claim, at, besideServer };
}

/** A sweep that cannot be done before `until` (ms since the epoch), and why. */
export function postponedSweep(
  index: number,
  claim: PersistentVolumeClaim,
  until: number,
  why: string,
): PostponedSweep {
  const message = `Failed to sweep the files that deleted sessions left on the volume of server ${claim.metadata.name}: ${why.replace(/\.?$/, '.')} The next attempt is in an hour.`;
  return { index, action: 'postpone', reason: 'SweepFailed', message, claim, until };
}

/** The decision to move a request to a later time. */
export type PostponedSweep = SweepDecision & { readonly action: 'postpone' };

/** A requested sweep. */
interface Request {
  readonly claim: PersistentVolumeClaim;
  /** The value of the annotation. */
  readonly at: string;
  /** ms since the epoch; a value that is not a time is due at once. */
  readonly time: number;
}

function requestOn(tenant: CopilotTenant, server: ServerWorld): Request | undefined {
  const claim = ownClaim(tenant, server);
  const at = claim && sweepAt(claim);
  if (claim === undefined || at === undefined) return undefined;
  const time = Date.parse(at);
  return { claim, at, time: Number.isNaN(time) ? -Infinity : time };
}

function ownClaim(tenant: CopilotTenant, { claim }: ServerWorld): PersistentVolumeClaim | undefined {
  const isOwn = claim !== undefined && claim.metadata.deletionTimestamp === undefined && isClaimOf(claim, tenant);
  return isOwn ? claim : undefined;
}

/** Requests a sweep if the volume should be measured. Not while no server runs: then nothing fills the volume. */
function checkVolume({ tenant, server, volume, canSweep, now }: SweepInput): SweepDecision | undefined {
  const claim = ownClaim(tenant, server);
  if (claim === undefined || !canSweep || !isExpected(tenant, server)) return undefined;
  const why = volumeCheckReason(volume, claim.status?.capacity?.['storage'], now);
  return why === undefined
    ? undefined
    : { index: server.index, action: 'request', reason: 'UsageUnknown', message: why, claim };
}

function running(index: number, job: Job, request: Request | undefined, inUse: string | undefined): SweepDecision {
  const { name, deletionTimestamp } = job.metadata;
  const message = inUse ?? (request === undefined ? 'No sweep is requested any more.' : undefined);
  // Its pod may wait for a node or an image for minutes, and would block the start of the server or the deletion of the volume.
  if (message !== undefined && deletionTimestamp === undefined) {
    return { index, action: 'deleteJob', reason: 'VolumeInUse', message, job };
  }
  return waiting(index, 'Running', `Job ${name} is running.`);
}

function finished(
  { server, tenant, pods, volume, now }: SweepInput,
  { job, time, failure }: JobEnd,
  request: Request | undefined,
): SweepDecision {
  const { index } = server;
  const { name, deletionTimestamp } = job.metadata;
  if (deletionTimestamp !== undefined) return waiting(index, 'Running', `Job ${name} is being deleted.`);
  const finish = {
    index,
    action: 'deleteJob',
    reason: 'Finished',
    message: `Job ${name} has finished.`,
    job,
  } as const;
  const result = jobResult(job, pods);
  const waitMs = Date.parse(time) + RESULT_WAIT_MS - now;
  // Deleting the Job deletes its pod, and with it the measurement of the volume.
  if (failure === undefined && waitMs > 0 && !isUsageReported(tenant, server, volume, result)) {
    const dueInMs = Math.min(waitMs, result === undefined ? RESULT_WAIT_MS : STATUS_WRITE_MS);
    return waiting(
      index,
      'NotReported',
      `The volume usage that Job ${name} measured is not in the status yet.`,
      dueInMs,
    );
  }
  if (request === undefined) return finish;
  const isNew = request.at !== sweepAt(job);
  // A request that is newer than the Job needs another sweep: the files may have come after this one.
  if (failure === undefined) {
    return isNew ? finish : { ...finish, action: 'clear', message: 'The volume was swept.', claim: request.claim };
  }
  // From the end of the Job, by the cluster's clock: by this process's clock it could be postponed again and again.
  const until = Date.parse(time) + SWEEP_RETRY_MS;
  const isManual = isNew && request.time === -Infinity;
  if (request.time < until && !isManual) {
    const why = result?.message ?? failure;
    return postponedSweep(index, request.claim, until, `${why.replace(/\.?$/, '.')} See kubectl describe job ${name}`);
  }
  // Until then the failed Job is kept for inspection.
  const dueInMs = request.time - now;
  return dueInMs > 0 ? waiting(index, 'Postponed', `The next sweep is due at ${request.at}.`, dueInMs) : finish;
}

/** Whether the status has the measurement of the Job's pod, if that made one. */
function isUsageReported(
  tenant: CopilotTenant,
  { index }: ServerWorld,
  { usage }: VolumeFacts,
  result: CleanupResult | undefined,
): boolean {
  return result !== undefined && usage?.time === reportedUsage(tenant, serverName(tenant.metadata.name, index))?.time;
}

function waiting(index: number, reason: string, message: string, dueInMs?: number): SweepDecision {
  return { index, action: 'wait', reason, message, dueInMs };
}

const isExpected = (tenant: CopilotTenant, { index }: ServerWorld): boolean =>
  !isStopped(tenant) && index < tenant.spec.replicas;

/** Why no Job can mount the volume now, or should not. */
function volumeInUse(tenant: CopilotTenant, server: ServerWorld): string | undefined {
  // It is mounted beside servers anyway, and a sweep removes only what no server uses.
  if (isSharedStorage(tenant)) return undefined;
  if (!isExpected(tenant, server)) return isStopping(server) ? 'The server is still stopping.' : undefined;
  const modes = server.claim?.spec?.accessModes ?? [];
  if (isReadWriteOncePod(modes)) return 'The volume is ReadWriteOncePod: it is swept while no server runs.';
  const pod = servingPod(server);
  // The pod of the Job needs the node of the server, which certainly has one when it is ready.
  return pod !== undefined && isReady(pod) ? undefined : 'The server is not ready.';
}
