import { timestamp } from '../../src/kube/time.ts';

/** The status of a Job as its controller leaves it, ended now. */
export function endedJob(type: 'Complete' | 'Failed', message = ''): object {
  const at = timestamp(Date.now());
  const target = type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
  const times = { lastProbeTime: at, lastTransitionTime: at };
  const conditions = [target, type].map((name) => ({ type: name, status: 'True', reason: 'Test', message, ...times }));
  const done = type === 'Complete' ? { completionTime: at, succeeded: 1 } : { failed: 1 };
  return { startTime: at, conditions, ...done };
}
