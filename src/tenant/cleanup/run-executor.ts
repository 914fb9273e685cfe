/** Acts on cleanup runs that cannot start or end. A failure here never affects the servers or their conditions. */
import type { Logger } from 'pino';
import type { Clock } from '../../kube/clock/clock.ts';
import { type EventRecorder } from '../../kube/runtime/events.ts';
import { Job } from '../../kube/types/builtins.ts';
import { toError } from '../../kube/types/errors.ts';
import type { Applier } from '../../kube/write/apply.ts';
import type { SessionSource } from '../../servers/survey/sessions.ts';
import { isSharedStorage, isStopped, isTenantPaused } from '../../resources/tenant.ts';
import type { World } from '../model.ts';
import { EventReason } from '../transitions.ts';
import type { CleanupRuns } from './cleanup-runs.ts';
import type { VolumeServer } from '../decisions/volume-server.ts';
import { cleanUpServers, cleanUpSharedVolume } from './server-cleanup.ts';

/** What is acted with. */
export interface RunContext {
  readonly applier: Pick<Applier, 'delete'>;
  readonly source: Pick<SessionSource, 'get' | 'activity' | 'deleteUnused'>;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly metrics: { deletedByServers(sessions: number, freedBytes: number): void };
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Until the servers delete the next sessions, in ms. */
const NEXT_BATCH_MS = 1_000;

/** Between two looks for expired sessions on a volume that servers share, in ms. */
const SHARED_INTERVAL_MS = 5 * 60_000;

/**
 * Deletes the Jobs that sidecars keep open, and has servers do the work of a run that waits, or of all runs where they share a volume.
 * Returns when to continue, in ms. `through`: the server that works on that volume.
 */
export async function executeRuns(
  context: RunContext,
  { tenant, cleanup }: World,
  { keptOpen, problem }: CleanupRuns,
  through?: VolumeServer,
): Promise<number | undefined> {
  const { source, recorder, metrics, clock, log, signal } = context;
  if (isTenantPaused(tenant)) return undefined;
  for (const job of keptOpen) await deleteKeptOpen(context, tenant, job);
  if (isSharedStorage(tenant)) return cleanUpShared(context, tenant, cleanup.sessions, through);
  if (problem.isWaiting !== true) return undefined;
  const { deleted, freedBytes, more } = await cleanUpServers({ source, clock }, tenant, cleanup.sessions, {
    signal,
    log,
  });
  if (deleted > 0) {
    metrics.deletedByServers(deleted, freedBytes);
    const message = `The servers deleted ${deleted} expired sessions, because the cleanup run waits. ${problem.blocked ?? ''}`;
    recorder.event(tenant, 'Normal', EventReason.SessionsCleanedUp, message.trim());
  }
  return more ? NEXT_BATCH_MS : undefined;
}

async function cleanUpShared(
  { source, recorder, metrics, clock, log, signal }: RunContext,
  tenant: World['tenant'],
  sessions: World['cleanup']['sessions'],
  through: VolumeServer | undefined,
): Promise<number | undefined> {
  const { spec } = tenant;
  if (through?.server === undefined || spec.sessions.ttl === undefined || isStopped(tenant)) return undefined;
  const { index, name } = through.server;
  const result = await cleanUpSharedVolume({ source, clock }, tenant, sessions, index, { signal, log });
  const { deleted, freedBytes, more } = result;
  if (deleted > 0) {
    metrics.deletedByServers(deleted, freedBytes);
    const message = `Server ${name} deleted ${deleted} expired sessions from the volume that all servers share.`;
    recorder.event(tenant, 'Normal', EventReason.SessionsCleanedUp, message);
  }
  return more ? NEXT_BATCH_MS : SHARED_INTERVAL_MS;
}

async function deleteKeptOpen({ applier, log, signal }: RunContext, tenant: World['tenant'], job: Job): Promise<void> {
  try {
    // It is controlled by the CronJob, and found by its UID.
    await applier.delete(Job, job, tenant, { isOurs: () => true, signal });
    log.info({ job: job.metadata.name }, 'deleted a Job whose work is done and that a sidecar keeps from completing');
  } catch (error) {
    if (signal.aborted) throw error;
    log.warn(
      { err: toError(error), job: job.metadata.name },
      'failed to delete a Job that a sidecar keeps from completing',
    );
  }
}
