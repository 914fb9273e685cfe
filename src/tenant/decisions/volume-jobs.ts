/**
 * Decides about Jobs that delete sessions on the volume of a server that has to run. A Job counts as long as it has not ended: one whose
 * pod was refused or can't be scheduled creates it later, perhaps beside the server.
 */
import { CronJob, type Job, type Pod } from '../../kube/types/builtins.ts';
import { getControllerOf, refersTo } from '../../kube/types/owner.ts';
import { cleanupContainer, deletesOnVolume } from '../../resources/cleanup-pod.ts';
import { jobEnd, podsOf } from '../../resources/job.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import { hasEnded } from '../pods.ts';

/** What is decided from. */
export interface VolumeJobsInput {
  /** Name of the volume of the server, which is meant to run. */
  readonly volume: string;
  /**
   * `Stopped`: its Deployment has no replicas. `Running`: it has. `Failed`: it has, but its container exits or can't be created; then
   * the session controller deletes sessions by Jobs.
   */
  readonly state: 'Stopped' | 'Running' | 'Failed';
  /** All Jobs of the tenant. */
  readonly jobs: readonly Job[];
  /** Pods of the tenant that belong to no server. */
  readonly pods: readonly Pod[];
}

/** What is decided. */
export interface VolumeJobsDecision {
  readonly reason: 'None' | 'WaitsForJob' | 'RunsBesideJob' | 'ServerFailed';
  /** What the server waits for; absent: it may start. */
  readonly message?: string | undefined;
  /** The Jobs to be deleted now, with their pods. */
  readonly withdrawn: readonly Job[];
}

/**
 * A server does not start beside such a Job. A Job that has deleted nothing yet is withdrawn, so that the server need not wait for it;
 * one that works on the volume ends first. One that was created when the server had started already is withdrawn in any case.
 */
export function volumeJobsDecision({ volume, state, jobs, pods }: VolumeJobsInput): VolumeJobsDecision {
  if (state === 'Failed') return { reason: 'ServerFailed', withdrawn: [] };
  const activeJobs = jobs.filter(({ spec, ...job }) => {
    const template = spec?.template;
    return jobEnd(job) === undefined && template !== undefined && deletesOnVolume(template, volume);
  });
  // A sidecar may keep a pod running when its work is done.
  const isDone = (pod: Pod) => hasEnded(pod) || cleanupContainer(pod)?.state?.terminated !== undefined;
  const activePods = pods.filter((pod) => !isDone(pod) && deletesOnVolume(pod, volume));
  const works = (job: Job) => podsOf(job, activePods).some((pod) => pod.status?.phase !== 'Pending');
  const withdrawn = activeJobs.filter(
    (job) => job.metadata.deletionTimestamp === undefined && isOurs(job) && (state === 'Running' || !works(job)),
  );
  if (state === 'Running') return { reason: withdrawn.length > 0 ? 'RunsBesideJob' : 'None', withdrawn };
  const [pod] = activePods;
  const [job] = activeJobs;
  const blocker =
    pod === undefined
      ? job && `Job ${job.metadata.name}, which deletes sessions on its volume, has ended or is deleted`
      : `pod ${pod.metadata.name} has finished cleaning up its volume`;
  return { reason: blocker === undefined ? 'None' : 'WaitsForJob', message: blocker, withdrawn };
}

/** Whether the CronJob creates Jobs that delete sessions on one of these volumes. */
export function deletesOnVolumes(cronJob: CronJob | undefined, volumes: readonly string[]): boolean {
  const template = cronJob?.spec?.jobTemplate.spec?.template;
  return template !== undefined && volumes.some((volume) => deletesOnVolume(template, volume));
}

/** A Job with our labels that another controller has created is waited for, but not deleted. */
function isOurs(job: Job): boolean {
  const owner = getControllerOf(job);
  return owner !== undefined && [CronJob, CopilotSession, CopilotTenant].some((type) => refersTo(owner, type));
}
