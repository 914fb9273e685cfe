/** The condition CleanupHealthy. */
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { LastCleanup } from '../../api/tenant-status.ts';
import type { Verdict } from '../../kube/write/conditions.ts';
import { CleanupHealthyReason } from '../../api/conditions.ts';
import { childName } from '../../resources/names.ts';

/** Failed runs in a row from which on the cleanup counts as broken. */
const FAILING_AFTER = 2;

export function cleanupVerdict({ metadata, spec }: CopilotTenant, last: LastCleanup | undefined): Verdict {
  if (spec.sessions.ttl === undefined) {
    return verdict('True', CleanupHealthyReason.NotScheduled, 'Cleanup is disabled: spec.sessions.ttl is not set.');
  }
  if (last === undefined) {
    return verdict('Unknown', CleanupHealthyReason.AwaitingFirstRun, 'No cleanup run has finished yet.');
  }
  if (last.failuresInARow === 0) {
    return verdict('True', CleanupHealthyReason.CleanupSucceeded, 'The last cleanup run succeeded.');
  }
  const why = (last.message ?? 'no reason given').replace(/\.?$/, '.');
  if (last.failuresInARow < FAILING_AFTER) {
    return verdict(
      'True',
      CleanupHealthyReason.CleanupRetrying,
      `The last cleanup run failed and is retried at the next scheduled time: ${why}`,
    );
  }
  // No count and no name of a Job: each run would change the message, and so be an event of its own.
  return verdict(
    'False',
    CleanupHealthyReason.CleanupFailing,
    `Cleanup runs keep failing: ${why} Check kubectl logs of the last Job of CronJob ${childName(metadata.name, 'cleanup')}.`,
  );
}

function verdict(status: Verdict['status'], reason: CleanupHealthyReason, message: string): Verdict {
  return { status, reason, message };
}
