/** The Job that removes a session's data from the volume of a server that does not run. */
import { Label } from '../../api/names.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { Job } from '../../kube/types/builtins.ts';
import { controllerRef } from '../../kube/types/owner.ts';
import { cleanupLabels, cleanupPod, cleanupPodMetadata } from '../../resources/cleanup-pod.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sessionIdOf } from '../../resources/session-index.ts';

/** Shorter than the deadline of a deletion (decisions/removal.ts), so that a Job that makes no progress is reported as failed. */
const ACTIVE_DEADLINE_SECONDS = 240;
/** A finished Job is deleted with its session; this is for a session that another finalizer holds. */
const TTL_AFTER_FINISHED_SECONDS = 600;
const MAX_LABEL_LENGTH = 63;

/** Name of the Job that removes the session's data from the volume of one server. */
export function deleteJobName({ metadata }: CopilotSession, index: number): string {
  return `session-${metadata.uid}-${index}`;
}

/**
 * The Job that removes a session's data from the volume of a server that does not run. One for each volume, since two
 * volumes may be bound to different nodes.
 */
export function deleteJob(session: CopilotSession, tenant: CopilotTenant, index: number, image: string): Job {
  const { name, namespace } = session.metadata;
  const { owner } = session.spec;
  // A resource's name may be longer than a label value; then the UID replaces it.
  const label = name.length <= MAX_LABEL_LENGTH ? name : (session.metadata.uid ?? '');
  const labels = { ...cleanupLabels(tenant.metadata.name), [Label.session]: label };
  return {
    apiVersion: apiVersionOf(Job),
    kind: Job.kind,
    metadata: {
      name: deleteJobName(session, index),
      ...(namespace !== undefined && { namespace }),
      labels,
      // Not blocking: a foreground deletion of the session (as Argo CD does) would delete a blocking Job at once.
      ownerReferences: [{ ...controllerRef(session), blockOwnerDeletion: false }],
    },
    spec: {
      backoffLimit: 2,
      activeDeadlineSeconds: ACTIVE_DEADLINE_SECONDS,
      ttlSecondsAfterFinished: TTL_AFTER_FINISHED_SECONDS,
      template: {
        metadata: cleanupPodMetadata(tenant, labels),
        spec: cleanupPod(tenant, {
          image,
          args: [`--delete-session=${sessionIdOf(session)}`, ...(owner === undefined ? [] : [`--owner=${owner}`])],
          servers: [],
          volumes: [index],
        }),
      },
    },
  };
}
