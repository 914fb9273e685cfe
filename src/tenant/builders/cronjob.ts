import { CronJob } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { cleanupLabels, cleanupPod } from '../../resources/cleanup-pod.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { hashSlot } from '../hash-slot.ts';
import { sharedMetadata } from './metadata.ts';
import type { CleanupScope } from '../model.ts';

export interface CleanupFacts {
  /** The operator's own image. */
  readonly image: string;
  readonly scope: CleanupScope;
  /** No run starts: there is nothing to clean up, or the cleanup could not be told which sessions are kept. */
  readonly paused: boolean;
}

/** A run that has not begun this long after its time, in s, is left out: the next one does its work. */
const STARTING_DEADLINE_S = 1800;
/** Longest run, in s, the time that its pod waits for a node, an image or a volume included. */
const RUN_DEADLINE_S = 1800;

/**
 * The cleanup of a tenant's sessions; made only when `spec.sessions.ttl` is set. Its Jobs stay until later ones take their
 * place, so that somebody can read the log of one that failed.
 */
export function cronJob(tenant: CopilotTenant, { image, scope, paused }: CleanupFacts): CronJob {
  const { name } = tenant.metadata;
  const { ttl, cleanupSchedule, timeZone, cleanupDryRun } = tenant.spec.sessions;
  if (ttl === undefined) throw new Error(`tenant ${name} has no spec.sessions.ttl: it has no cleanup`);
  const labels = cleanupLabels(name);
  return {
    apiVersion: apiVersionOf(CronJob),
    kind: CronJob.kind,
    metadata: { ...sharedMetadata(tenant, childName(name, 'cleanup')), labels },
    spec: {
      schedule: cleanupSchedule ?? `${minuteOf(tenant)} * * * *`,
      ...(timeZone !== undefined && { timeZone }),
      suspend: paused,
      concurrencyPolicy: 'Forbid',
      startingDeadlineSeconds: STARTING_DEADLINE_S,
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 2,
      jobTemplate: {
        metadata: { labels },
        spec: {
          // The next run is the retry: it goes on where this one ended.
          backoffLimit: 0,
          activeDeadlineSeconds: RUN_DEADLINE_S,
          template: {
            metadata: { labels },
            spec: cleanupPod(tenant, {
              image,
              args: [`--ttl=${ttl}`, ...(cleanupDryRun ? ['--dry-run'] : [])],
              servers: scope.servers,
              volumes: scope.volumes,
              policies: childName(name, 'sessions'),
            }),
          },
        },
      },
    },
  };
}

/** The minute of the hour at which a tenant is cleaned up by default: a thousand tenants spread over all sixty. */
function minuteOf({ metadata: { namespace = '', name } }: CopilotTenant): number {
  return hashSlot(`${namespace}/${name}`, 60);
}
