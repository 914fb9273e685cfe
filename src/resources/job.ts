/** How the operator's Jobs end. */
import type { Job } from '../kube/types/builtins.ts';

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

const isEnd = (type: string): boolean => type === 'Complete' || type === 'Failed';
