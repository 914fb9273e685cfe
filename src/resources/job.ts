/** How the operator's Jobs start and end, and which pods are theirs. */
import type { Job, Pod } from '../kube/types/builtins.ts';
import { getControllerOf } from '../kube/types/owner.ts';

/** The end of a Job. */
export interface JobEnd {
  readonly job: Job;
  /** RFC 3339. */
  readonly time: string;
  /** Reason and message of the Job's condition; absent after a success. */
  readonly failure?: string | undefined;
}

/** Undefined while the Job has not ended. */
export function jobEnd(job: Job): JobEnd | undefined {
  const end = job.status?.conditions?.find(({ type, status }) => isEnd(type) && status === 'True');
  if (end?.lastTransitionTime === undefined) return undefined;
  const failure = end.type === 'Failed' ? [end.reason, end.message].filter(Boolean).join(': ') : undefined;
  return { job, time: end.lastTransitionTime, failure };
}

/** Whether a Job is kept from starting, for example by Kueue. */
export function isSuspended({ status }: Job): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Suspended' && value === 'True') === true;
}

/** The pods of a Job, by its UID: labels are the pod creator's to choose. */
export function podsOf({ metadata: { uid } }: Job, pods: readonly Pod[]): Pod[] {
  return uid === undefined ? [] : pods.filter((pod) => getControllerOf(pod)?.uid === uid);
}

const isEnd = (type: string): boolean => type === 'Complete' || type === 'Failed';
