/** The Job that sweeps the volume of one server. */
import { Annotation } from '../../api/names.ts';
import { Job } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { cleanupLabels, cleanupPod, cleanupPodMetadata, SWEEP_FLAG } from '../../resources/cleanup-pod.ts';
import { sweepName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/** Longest sweep, in s, including the time that its pod waits for a node, an image or the volume. */
const DEADLINE_S = 600;
/** When Kubernetes deletes a finished Job, in s, if the operator does not do so before. */
const KEPT_S = 3600;

/** What the Job contains besides the spec. */
export interface SweepFacts {
  /** The operator's own image. */
  readonly image: string;
  /** The request on the claim that this Job serves. */
  readonly at: string;
  /** The server is running: the pod is scheduled to its node, and does not connect to it. */
  readonly besideServer: boolean;
}

/** Removes the files that deleted sessions left on the volume. It has no credentials and needs no network. */
export function sweepJob(tenant: CopilotTenant, index: number, { image, at, besideServer }: SweepFacts): Job {
  const { name } = tenant.metadata;
  const labels = cleanupLabels(name);
  const beside = besideServer ? index : undefined;
  return {
    apiVersion: apiVersionOf(Job),
    kind: Job.kind,
    metadata: {
      ...sharedMetadata(tenant, sweepName(name, index)),
      labels,
      annotations: { [Annotation.sweepAt]: at },
    },
    spec: {
      backoffLimit: 2,
      activeDeadlineSeconds: DEADLINE_S,
      ttlSecondsAfterFinished: KEPT_S,
      template: {
        metadata: cleanupPodMetadata(tenant, labels),
        spec: cleanupPod(tenant, { image, args: [SWEEP_FLAG], servers: [], volumes: [index], beside }),
      },
    },
  };
}
