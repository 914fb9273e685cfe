import { Job, Pod } from '../../src/kube/types/builtins.ts';
import { timestamp } from '../../src/kube/types/time.ts';
import { cleanupLabels } from '../../src/resources/cleanup-pod.ts';
import { formatCleanupResult, type CleanupResult } from '../../src/resources/cleanup-result.ts';
import type { ReconcilerWorld } from './reconciler-world.ts';

/** Plays the pod of a cleanup Job of tenant `acme`: it has ended now, with this termination message. */
export async function endCleanupPod(world: ReconcilerWorld, job: string, result: CleanupResult): Promise<void> {
  const uid = (await world.get(Job, job))?.metadata.uid ?? '';
  const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name: job, uid, controller: true }];
  const metadata = {
    name: `${job}-${uid.slice(0, 5)}`,
    namespace: world.namespace,
    labels: cleanupLabels('acme'),
    ownerReferences,
  };
  const spec = { restartPolicy: 'Never', containers: [{ name: 'cleanup', image: 'i' }] };
  await world.client.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata, spec });
  const terminated = {
    exitCode: result.result === 'Succeeded' ? 0 : 1,
    finishedAt: timestamp(world.clock.now()),
    message: formatCleanupResult(result),
  };
  const container = { name: 'cleanup', image: 'i', imageID: 'i', ready: false, restartCount: 0, state: { terminated } };
  await world.patch(Pod, metadata.name, { status: { phase: 'Succeeded', containerStatuses: [container] } }, 'status');
}

/** The status of a Job that ended at this time (ms), as the Job controller writes it. */
export function endedJob(type: 'Complete' | 'Failed', message = '', endedAt = Date.now()): object {
  const at = timestamp(endedAt);
  const target = type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
  const times = { lastProbeTime: at, lastTransitionTime: at };
  const conditions = [target, type].map((name) => ({ type: name, status: 'True', reason: 'Test', message, ...times }));
  const done = type === 'Complete' ? { completionTime: at, succeeded: 1 } : { failed: 1 };
  return { startTime: at, conditions, ...done };
}
