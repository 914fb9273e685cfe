/** Decides the condition CleanupHealthy. */
import { CleanupHealthyReason } from '../../api/conditions.ts';
import type { LastCleanup } from '../../api/tenant-status.ts';
import type { Verdict } from '../../kube/write/conditions.ts';
import { childName } from '../../resources/names.ts';
import { isSharedStorage, isStopped, type CopilotTenant } from '../../resources/tenant.ts';
import type { VolumeServer } from '../decisions/volume-server.ts';
import { neverComes } from '../decisions/schedule.ts';

/** Number of failed runs in a row after which the cleanup counts as failing. */
const FAILING_AFTER = 2;

/**
 * `last`: the last run that has ended; `blocked`: why a later one cannot start or end; `through`: the server that works on the volume that
 * all share.
 */
export function cleanupVerdict(
  tenant: CopilotTenant,
  last: LastCleanup | undefined,
  blocked?: string,
  through?: VolumeServer,
): Verdict {
  const { metadata, spec } = tenant;
  if (spec.sessions.ttl === undefined) {
    return verdict('True', CleanupHealthyReason.NotScheduled, 'Cleanup is disabled: spec.sessions.ttl is not set.');
  }
  const { cleanupSchedule } = spec.sessions;
  if (cleanupSchedule !== undefined && neverComes(cleanupSchedule)) {
    const message = `No date matches spec.sessions.cleanupSchedule ${cleanupSchedule}, so no cleanup run starts. Correct the schedule.`;
    return verdict('False', CleanupHealthyReason.ScheduleNeverComes, message);
  }
  if (isSharedStorage(tenant) && spec.replicas > 0 && !isStopped(tenant)) return sharedVerdict(tenant, through);
  if (blocked !== undefined) return verdict('False', CleanupHealthyReason.CleanupBlocked, blocked);
  if (last === undefined) {
    return verdict('Unknown', CleanupHealthyReason.AwaitingFirstRun, 'No cleanup run has finished yet.');
  }
  if (last.failuresInARow === 0) {
    return verdict('True', CleanupHealthyReason.CleanupSucceeded, 'The last cleanup run succeeded.');
  }
  const why = (last.message ?? 'no reason given').replace(/\.?$/, '.');
  // A run that could not start is no mishap that the next one makes good.
  if (last.failuresInARow < FAILING_AFTER && !last.timedOut) {
    return verdict(
      'True',
      CleanupHealthyReason.CleanupRetrying,
      `The last cleanup run failed and is retried at the next scheduled time: ${why}`,
    );
  }
  // Without the number of failures and the name of the Job, which would change the message after each run.
  return verdict(
    'False',
    CleanupHealthyReason.CleanupFailing,
    `Cleanup runs keep failing: ${why} See kubectl logs job/NAME, where NAME is the last Job of CronJob ${childName(metadata.name, 'cleanup')}.`,
  );
}

// While no server runs, Jobs clean up as ever.
function sharedVerdict({ spec }: CopilotTenant, through: VolumeServer | undefined): Verdict {
  if (through?.server === undefined) {
    const message = 'No server is ready, so no expired session is deleted from the volume that all share.';
    return verdict('Unknown', CleanupHealthyReason.ThroughOneServer, message);
  }
  const { name } = through.server;
  const message = spec.sessions.cleanupDryRun
    ? `spec.sessions.cleanupDryRun is true, so server ${name} deletes no expired session from the volume that all servers share.`
    : `Server ${name} deletes expired sessions from the volume that all servers share, within minutes.`;
  return verdict('True', CleanupHealthyReason.ThroughOneServer, message);
}

function verdict(status: Verdict['status'], reason: CleanupHealthyReason, message: string): Verdict {
  return { status, reason, message };
}
