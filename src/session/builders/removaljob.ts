/** The Job that removes the data of deleted CopilotSessions from the volume of a server that does not run. */
import { Annotation } from '../../api/names.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { Job } from '../../kube/types/builtins.ts';
import { controllerRef } from '../../kube/types/owner.ts';
import { cleanupLabels, cleanupPod, cleanupPodMetadata } from '../../resources/cleanup-pod.ts';
import { MAX_REQUESTED_DELETIONS } from '../../resources/cleanup-result.ts';
import { removalName } from '../../resources/names.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sessionIdOf } from '../../resources/session-index.ts';

/** Shorter than the deadline of a deletion (decisions/removal.ts), so that a Job that makes no progress is reported as failed. */
export const ACTIVE_DEADLINE_SECONDS = 240;
/** Less than that: a run with much to delete ends by itself, because the result of a pod that is killed is lost. */
const STOP_AFTER = '2m';
/** A finished Job is deleted when the next one has to be created; this is for the last one. */
const TTL_AFTER_FINISHED_SECONDS = 600;
/** Linux takes 2 MiB of arguments, and an object of the API 1.5 MiB. */
const MAX_ARGS_BYTES = 256 * 1024;

/** What the Job contains besides the spec of the tenant. */
export interface RemovalFacts {
  /** The operator's own image. */
  readonly image: string;
  /** The sessions to remove; those that do not fit are left to the next Job. */
  readonly sessions: readonly CopilotSession[];
}

/**
 * One for each volume, since two volumes may be bound to different nodes, and for all its sessions, since each pod takes room on the
 * node. The name is fixed, so there is never a second one.
 */
export function removalJob(tenant: CopilotTenant, index: number, { image, sessions }: RemovalFacts): Job {
  const { name, namespace } = tenant.metadata;
  const labels = cleanupLabels(name);
  const args: string[] = [];
  const uids: string[] = [];
  let bytes = 0;
  for (const session of sessions.slice(0, MAX_REQUESTED_DELETIONS)) {
    const arg = `--delete-session=${escaped(requestOf(session))}`;
    bytes += Buffer.byteLength(arg);
    if (bytes > MAX_ARGS_BYTES) break;
    args.push(arg);
    uids.push(session.metadata.uid ?? '');
  }
  return {
    apiVersion: apiVersionOf(Job),
    kind: Job.kind,
    metadata: {
      name: removalName(name, index),
      ...(namespace !== undefined && { namespace }),
      labels,
      annotations: { [Annotation.removes]: uids.join(',') },
      // Not blocking: a foreground deletion of the tenant would wait for the Job's pod.
      ownerReferences: [{ ...controllerRef(tenant), blockOwnerDeletion: false }],
    },
    spec: {
      backoffLimit: 2,
      activeDeadlineSeconds: ACTIVE_DEADLINE_SECONDS,
      ttlSecondsAfterFinished: TTL_AFTER_FINISHED_SECONDS,
      template: {
        metadata: cleanupPodMetadata(tenant, labels),
        spec: cleanupPod(tenant, {
          image,
          args: [...args, `--stop-after=${STOP_AFTER}`],
          servers: [],
          volumes: [index],
        }),
      },
    },
  };
}

/** UIDs of the CopilotSessions whose data a Job removes, in the order of its outcomes. */
export function removedBy({ metadata }: Job): readonly string[] {
  return metadata.annotations?.[Annotation.removes]?.split(',') ?? [];
}

function requestOf(session: CopilotSession): string {
  const { owner } = session.spec;
  return owner === undefined ? sessionIdOf(session) : `${sessionIdOf(session)}=${owner}`;
}

/** Kubernetes replaces `$(NAME)` and `$$` in arguments, and a user's name may have them. */
const escaped = (text: string): string => text.replaceAll('$', '$$$$');
