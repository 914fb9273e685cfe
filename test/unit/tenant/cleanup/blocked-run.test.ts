import { describe, expect, it } from '@jest/globals';
import type { CronJob, Job } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { blockedRun } from '../../../../src/tenant/cleanup/blocked-run.ts';
import { slimJob } from '../../../../src/tenant/transforms.ts';
import { MINUTE, NOW } from '../fixtures.ts';

const owner = { apiVersion: 'batch/v1', kind: 'CronJob', name: 'acme-cleanup', uid: 'uid' };
const cronJob = {
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name: 'acme-cleanup', uid: 'uid' },
} as unknown as CronJob;
const job = (ageMs: number, condition?: string, ownerUID = 'uid'): Job =>
  slimJob({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: 'acme-cleanup-1',
      creationTimestamp: timestamp(NOW - ageMs),
      ownerReferences: [{ ...owner, uid: ownerUID }],
    },
    status: {
      conditions:
        condition === undefined ? [] : [{ type: condition, status: 'True', lastTransitionTime: timestamp(NOW) }],
    },
  });

describe('a cleanup run is blocked', () => {
  it.each([
    ['its Job is suspended', job(11 * MINUTE, 'Suspended'), /^Job acme-cleanup-1 is suspended.*such as Kueue/],
    ['its Job outlives its deadline', job(36 * MINUTE), /^Job acme-cleanup-1 has not ended within its deadline/],
  ])('when %s', (_, open, message) => {
    expect(blockedRun(cronJob, [open], NOW).blocked).toMatch(message);
  });

  it.each([
    ['suspended', job(9 * MINUTE, 'Suspended'), MINUTE],
    ['running', job(5 * MINUTE), 30 * MINUTE],
  ])('only after some time, which is due for a reconcile: %s', (_, open, dueInMs) => {
    expect(blockedRun(cronJob, [open], NOW)).toEqual({ dueInMs });
  });

  it.each([
    ['has ended', job(60 * MINUTE, 'Complete')],
    ['is not of the CronJob', job(60 * MINUTE, undefined, 'other')],
  ])('not when it %s', (_, other) => {
    expect(blockedRun(cronJob, [other], NOW)).toEqual({});
  });
});
