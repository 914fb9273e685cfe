/** The CronJob that cleans up a tenant's sessions. */
import { CronJob } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { cleanupLabels, cleanupPod, cleanupPodMetadata } from '../../resources/cleanup-pod.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { hashSlot } from '../hash-slot.ts';
import type { CleanupScope } from '../model.ts';
import { sharedMetadata } from './metadata.ts';

/** What the CronJob contains besides the spec. */
export interface CleanupFacts {
  /** The operator's own image. */
  readonly image: string;
  readonly scope: CleanupScope;
  /** No run starts: there is nothing to clean up, or the ConfigMap of the kept sessions could not be applied. */
  readonly paused: boolean;
}

/** A run that has not started this long after its time, in s, is skipped: the next one does its work. */
const STARTING_DEADLINE_S = 1800;
/** Longest run, in s, including the time that its pod waits for a node, an image or a volume. */
const RUN_DEADLINE_S = 1800;

/**
 * Only for tenants with `spec.sessions.ttl`. Finished Jobs are kept until later ones replace them, so that the log of a failed one
 * can be read.
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
          // The next run is the retry.
          backoffLimit: 0,
          activeDeadlineSeconds: RUN_DEADLINE_S,
          template: {
            metadata: cleanupPodMetadata(tenant, labels),
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

/** The default minute of the hour: a thousand tenants are spread over all sixty. */
function minuteOf({ metadata: { namespace = '', name } }: CopilotTenant): number {
  return hashSlot(`${namespace}/${name}`, 60);
}
