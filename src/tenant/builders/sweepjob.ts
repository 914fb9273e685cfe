import { Annotation } from '../../api/names.ts';
import { Job } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { cleanupLabels, cleanupPod, SWEEP_FLAG } from '../../resources/cleanup-pod.ts';
import { sweepName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sharedMetadata } from './metadata.ts';

/** Longest sweep, in s, the time that its pod waits for a node, an image or the volume included. */
const DEADLINE_S = 600;
/** The operator takes a Job away that has ended; this is for one that it no longer sees. */
const KEPT_S = 3600;

export interface SweepFacts {
  /** The operator's own image. */
  readonly image: string;
  /** What was asked for on the claim: by it the Job is known to be the one that does it. */
  readonly at: string;
  /** The server runs: the Job's pod goes to its node, and asks it nothing. */
  readonly besideServer: boolean;
}

/** The Job that removes what deletions have left on the volume of one server. It knows no secret and needs no network. */
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
        metadata: { labels },
        spec: cleanupPod(tenant, { image, args: [SWEEP_FLAG], servers: [], volumes: [index], beside }),
      },
    },
  };
}
