import { describe, expect, it } from '@jest/globals';
import type { CronJob, Job, Pod } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import type { EventWarning } from '../../../../src/resources/event-warning.ts';
import { runProblem } from '../../../../src/tenant/cleanup/run-problem.ts';
import { slimJob, slimPod } from '../../../../src/tenant/transforms.ts';
import { MINUTE, NOW, SECOND } from '../fixtures.ts';

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
      uid: 'uid-of-job',
      creationTimestamp: timestamp(NOW - ageMs),
      ownerReferences: [{ ...owner, uid: ownerUID }],
    },
    status: {
      conditions:
        condition === undefined ? [] : [{ type: condition, status: 'True', lastTransitionTime: timestamp(NOW) }],
    },
  });

/** The pod of the Job, pending but for what is stated. */
const pod = (status: Pod['status'], spec: Partial<NonNullable<Pod['spec']>> = {}): Pod =>
  slimPod({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'acme-cleanup-1-x7k2p',
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: 'Job', name: 'acme-cleanup-1', uid: 'uid-of-job', controller: true },
      ],
      creationTimestamp: timestamp(NOW - 2 * MINUTE),
    },
    spec: { containers: [{ name: 'cleanup' }], ...spec },
    status: { phase: 'Pending', ...status },
  });
const container = (name: string, state: object) => ({
  name,
  image: 'example.com/i:1',
  imageID: '',
  ready: false,
  restartCount: 0,
  state,
});

const problemOf = (open: Job, of: { pods?: Pod[]; warning?: EventWarning } = {}) =>
  runProblem({ cronJob, jobs: [open], pods: [], now: NOW, ...of });
const refused = (message: string): EventWarning => ({ reason: 'FailedCreate', message: `Error creating: ${message}` });

describe('a cleanup run is blocked', () => {
  it.each([
    ['its Job is suspended', job(11 * MINUTE, 'Suspended'), /^Job acme-cleanup-1 is suspended.*such as Kueue/],
    ['its Job outlives its deadline', job(36 * MINUTE), /^Job acme-cleanup-1 has not ended within its deadline/],
  ])('when %s', (_, open, message) => {
    expect(problemOf(open).blocked).toMatch(message);
  });

  it.each<[string, string, RegExp]>([
    [
      'the quota is used up',
      'pods "acme-cleanup-1-" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1',
      /^Pod of Job acme-cleanup-1 exceeds the ResourceQuota few of the namespace: .*\. Raise the quota\.$/,
    ],
    [
      'a quota wants limits',
      'pods "acme-cleanup-1-" is forbidden: failed quota: q: must specify limits.cpu for: cleanup',
      /does not specify what the ResourceQuota q of the namespace requires: .*Set spec\.sessions\.cleanupResources\.limits\.cpu, or defaults in a LimitRange of the namespace\.$/,
    ],
    [
      'a quota of memory is used up',
      'pods "acme-cleanup-1-" is forbidden: exceeded quota: q, requested: limits.memory=256Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi',
      /exceeds the ResourceQuota q of the namespace: .*\. Raise the quota or lower spec\.sessions\.cleanupResources\.$/,
    ],
    [
      'it is outside a LimitRange',
      'pods "acme-cleanup-1-" is forbidden: minimum memory usage per Container is 1Gi, but request is 64Mi',
      /is outside a LimitRange of the namespace: .*\. Change spec\.sessions\.cleanupResources or the LimitRange\.$/,
    ],
    [
      'a policy refuses it',
      'admission webhook "w.example.com" denied the request: no Jobs here',
      /^Pod of Job acme-cleanup-1 was denied by an admission policy: .*no Jobs here/,
    ],
  ])('when its pod cannot be created because %s', (_, text, message) => {
    expect(problemOf(job(2 * MINUTE), { warning: refused(text) })).toMatchObject({
      blocked: expect.stringMatching(message),
      isWaiting: true,
    });
  });

  it.each<[string, Pod, RegExp]>([
    [
      'no node has room',
      pod({
        conditions: [
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes: Too many pods' },
        ],
      }),
      /cannot be scheduled: 0\/1 nodes: Too many pods\. It needs room on the node of the server/,
    ],
    [
      'a gate is closed',
      pod(
        { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] },
        { schedulingGates: [{ name: 'example.com/queue' }] },
      ),
      /waits for scheduling gates: example\.com\/queue\. The controller that added them/,
    ],
    [
      'an injected init container has no image',
      pod({
        initContainerStatuses: [container('mesh', { waiting: { reason: 'ImagePullBackOff', message: 'not found' } })],
        containerStatuses: [container('cleanup', { waiting: { reason: 'PodInitializing' } })],
      }),
      /waits for init container mesh, which cannot pull image example\.com\/i:1: not found\. The operator did not add/,
    ],
    [
      'its image is missing',
      pod({ containerStatuses: [container('cleanup', { waiting: { reason: 'ErrImagePull', message: 'denied' } })] }),
      /^Pod of Job acme-cleanup-1 cannot pull image example\.com\/i:1: denied\. Check the image of the operator/,
    ],
  ])('when %s', (_, waiting, message) => {
    expect(problemOf(job(2 * MINUTE), { pods: [waiting] })).toMatchObject({
      blocked: expect.stringMatching(message),
      isWaiting: true,
    });
  });

  it('when its volume cannot be mounted, by the event of its pod', () => {
    const creating = pod({
      containerStatuses: [container('cleanup', { waiting: { reason: 'ContainerCreating' } })],
    });
    const warning = { reason: 'FailedAttachVolume', message: 'Multi-Attach error' };
    expect(problemOf(job(2 * MINUTE), { pods: [creating], warning }).blocked).toMatch(
      /cannot be started \(FailedAttachVolume\): Multi-Attach error/,
    );
  });

  it.each([
    ['suspended', job(9 * MINUTE, 'Suspended'), MINUTE],
    ['running', job(5 * MINUTE), 30 * MINUTE],
    ['starting', job(20 * SECOND), 40 * SECOND],
  ])('only after some time, which is due for a reconcile: %s', (_, open, dueInMs) => {
    expect(problemOf(open)).toEqual({ dueInMs });
  });

  it('not in its first minute, whatever an event says', () => {
    expect(problemOf(job(59 * SECOND), { warning: refused('exceeded quota: q') })).toEqual({ dueInMs: SECOND });
  });

  it('not by a sidecar that fails while our container runs', () => {
    const running = pod({
      phase: 'Running',
      initContainerStatuses: [container('mesh', { waiting: { reason: 'ImagePullBackOff' } })],
      containerStatuses: [container('cleanup', { running: {} })],
    });
    expect(problemOf(job(2 * MINUTE), { pods: [running] }).blocked).toBeUndefined();
  });

  it.each([
    ['has ended', job(60 * MINUTE, 'Complete')],
    ['is not of the CronJob', job(60 * MINUTE, undefined, 'other')],
  ])('not when it %s', (_, other) => {
    expect(problemOf(other)).toEqual({});
  });
});
