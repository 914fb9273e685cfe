import { describe, expect, it } from '@jest/globals';
import type { CronJob, Job, Pod } from '../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import { openRun, runEnd, uncountedTimeOut } from '../../../src/tenant/open-run.ts';
import { MINUTE, NOW, SECOND } from './fixtures.ts';

const cronJob = { metadata: { name: 'acme-cleanup', uid: 'cron' } } as unknown as CronJob;
function job(name: string, end?: { type: 'Complete' | 'Failed'; reason?: string; agoMs?: number }): Job {
  const { type, reason, agoMs = 0 } = end ?? {};
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      uid: `uid-of-${name}`,
      creationTimestamp: timestamp(NOW - 5 * MINUTE),
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'CronJob', name: 'acme-cleanup', uid: 'cron' }],
    },
    status: {
      conditions:
        type === undefined
          ? []
          : [{ type, status: 'True', ...(reason && { reason }), lastTransitionTime: timestamp(NOW - agoMs) }],
    },
  };
}
function pod(of: string, agoMs: number, exitCode = 0, phase = 'Running'): Pod {
  const terminated = { exitCode, finishedAt: timestamp(NOW - agoMs) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${of}-x`,
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: of, uid: `uid-of-${of}`, controller: true }],
    },
    status: {
      phase,
      containerStatuses: [
        { name: 'cleanup', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated } },
        { name: 'sidecar', image: '', imageID: '', ready: true, restartCount: 0, state: { running: {} } },
      ],
    },
  };
}

describe('the work of a Job', () => {
  it('has ended with the Job', () => {
    expect(runEnd(job('a', { type: 'Complete' }), [], NOW)).toMatchObject({ end: { time: timestamp(NOW) } });
  });

  it('has ended with our container when a sidecar keeps the Job from completing', () => {
    expect(runEnd(job('a'), [pod('a', 2 * MINUTE)], NOW)).toMatchObject({
      keptOpen: true,
      end: { time: timestamp(NOW - 2 * MINUTE), failure: undefined },
    });
    expect(runEnd(job('a'), [pod('a', 2 * MINUTE, 1)], NOW).end?.failure).toBe('its container exited with code 1');
  });

  it('gives sidecars a minute to end with our container', () => {
    expect(runEnd(job('a'), [pod('a', 20 * SECOND)], NOW)).toEqual({ pending: NOW + 40 * SECOND });
  });

  it.each([
    ['the pod has ended, and the Job will', [pod('a', 2 * MINUTE, 0, 'Succeeded')]],
    ['the pod is of another Job', [pod('b', 2 * MINUTE)]],
    ['there is no pod', []],
  ])('has not ended while %s', (_, pods) => {
    expect(runEnd(job('a'), pods, NOW)).toEqual({});
  });
});

describe('the open run', () => {
  it('is the one that has not ended, with its pod', () => {
    const jobs = [job('a', { type: 'Complete' }), job('b')];
    const pods = [pod('a', 0), pod('b', 0)];
    expect(openRun({ cronJob, jobs, pods })).toEqual({ job: jobs[1], pod: pods[1] });
    expect(openRun({ cronJob: undefined, jobs, pods })).toBeUndefined();
  });
});

describe('a run that timed out', () => {
  it('is looked up until it is in the status', () => {
    const late = job('a', { type: 'Failed', reason: 'DeadlineExceeded', agoMs: MINUTE });
    const jobs = [late, job('b', { type: 'Failed', reason: 'BackoffLimitExceeded' })];
    expect(uncountedTimeOut({ cronJob, jobs }, undefined)).toBe(late);
    expect(uncountedTimeOut({ cronJob, jobs }, { time: timestamp(NOW) })).toBeUndefined();
  });
});
