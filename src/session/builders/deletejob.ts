import { Label } from '../../api/names.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { Job } from '../../kube/types/builtins.ts';
import { controllerRef } from '../../kube/types/owner.ts';
import { cleanupLabels, cleanupPod } from '../../resources/cleanup-pod.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sessionIdOf } from '../../resources/session-index.ts';

/** Less than the deadline of a deletion (decisions/removal.ts), so that a Job that gets nowhere is told as such. */
const ACTIVE_DEADLINE_SECONDS = 240;
/** A finished Job goes with its session at once; this is for one whose session is held by somebody else's finalizer. */
const KEPT_SECONDS = 600;
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
  // A resource's name may be longer than a label; then the UID stands for it.
  const label = name.length <= MAX_LABEL_LENGTH ? name : (session.metadata.uid ?? '');
  const labels = { ...cleanupLabels(tenant.metadata.name), [Label.session]: label };
  return {
    apiVersion: apiVersionOf(Job),
    kind: Job.kind,
    metadata: {
      name: deleteJobName(session, index),
      ...(namespace !== undefined && { namespace }),
      labels,
      // Not blocking: deleted in the foreground (as Argo CD does) the session would take a blocking Job down at once.
      ownerReferences: [{ ...controllerRef(session), blockOwnerDeletion: false }],
    },
    spec: {
      backoffLimit: 2,
      activeDeadlineSeconds: ACTIVE_DEADLINE_SECONDS,
      ttlSecondsAfterFinished: KEPT_SECONDS,
      template: {
        metadata: { labels },
        spec: cleanupPod(tenant, {
          image,
          args: [`--delete-session=${sessionIdOf(session)}`],
          servers: [],
          volumes: [index],
        }),
      },
    },
  };
}
