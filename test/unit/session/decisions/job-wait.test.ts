import { describe, expect, it } from '@jest/globals';
import type { Job, Pod } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { whyJobWaits } from '../../../../src/session/decisions/job-wait.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const job = (ageMs: number, suspended = false): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'acme-remove0', uid: 'uid', creationTimestamp: timestamp(NOW - ageMs) },
  status: { conditions: suspended ? [{ type: 'Suspended', status: 'True' }] : [] },
});
const pod = (condition: object, spec: object = {}): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'acme-remove0-x',
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'acme-remove0', uid: 'uid', controller: true }],
    },
    spec: { containers: [], ...spec },
    status: { conditions: [{ type: 'PodScheduled', ...condition }] },
  }) as unknown as Pod;
const refused = 'Error creating: pods "acme-remove0-x7k2p" is forbidden: exceeded quota: few, used: pods=1';

describe('a Job that removes sessions and does not start', () => {
  it.each<[string, Parameters<typeof whyJobWaits>[0], RegExp]>([
    [
      'a quota, without the random name of the pod',
      { job: job(61_000), pods: [], refused, now: NOW },
      /^its pod cannot be created: exceeded quota: few, used: pods=1$/,
    ],
    ['a queue', { job: job(61_000, true), pods: [], now: NOW }, /^the Job is suspended: .*such as Kueue$/],
    [
      'a full node',
      {
        job: job(61_000),
        pods: [pod({ status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' })],
        now: NOW,
      },
      /^its pod cannot be scheduled: 0\/1 nodes are available$/,
    ],
    [
      'a scheduling gate',
      {
        job: job(61_000),
        pods: [
          pod({ status: 'False', reason: 'SchedulingGated' }, { schedulingGates: [{ name: 'example.com/queue' }] }),
        ],
        now: NOW,
      },
      /^its pod waits for scheduling gates: example\.com\/queue$/,
    ],
  ])('waits for %s', (_, input, text) => {
    expect(whyJobWaits(input)).toMatch(text);
  });

  it('is given a minute, so that most removals are one write', () => {
    expect(whyJobWaits({ job: job(59_000), pods: [], refused, now: NOW })).toBeUndefined();
  });

  it('has no reason once its pod has a node', () => {
    expect(whyJobWaits({ job: job(61_000), pods: [pod({ status: 'True' })], refused, now: NOW })).toBeUndefined();
  });
});
