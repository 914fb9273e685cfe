import { describe, expect, it } from '@jest/globals';
import type { CronJob, Job, Pod } from '../../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import { cleanupLabels, cleanupPod } from '../../../../src/resources/cleanup-pod.ts';
import { cronJob } from '../../../../src/tenant/builders/cronjob.ts';
import { sweepJob } from '../../../../src/tenant/builders/sweepjob.ts';
import { deletesOnVolumes, volumeJobsDecision } from '../../../../src/tenant/decisions/volume-jobs.ts';
import type { CleanupScope } from '../../../../src/tenant/model.ts';
import { slimJob, slimPod } from '../../../../src/tenant/transforms.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const tenant = sampleTenant({ replicas: 2, sessions: { ttl: '720h' } });
const ON_VOLUMES: CleanupScope = { servers: [], volumes: [0, 1], reason: 'OnVolumes', message: '' };
const THROUGH: CleanupScope = { servers: [0, 1], volumes: [0], reason: 'ThroughServers', message: '' };

const cron = (scope: CleanupScope): CronJob => {
  const built = cronJob(tenant, { image: 'i', scope, paused: false });
  return { ...built, metadata: { ...built.metadata, uid: 'uid-of-cronjob' } };
};

/** A run of the CronJob as it is in the cache. */
function run(
  scope: CleanupScope,
  { ended, terminating, owner }: { ended?: string; terminating?: boolean; owner?: object } = {},
): Job {
  const parent = cron(scope);
  return slimJob({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: 'acme-cleanup-1',
      namespace: 'team',
      uid: 'uid-of-job',
      labels: cleanupLabels('acme'),
      ownerReferences: [{ ...controllerRef(parent), ...owner }],
      ...(terminating && { deletionTimestamp: '2026-01-02T03:04:05Z' }),
    },
    spec: parent.spec?.jobTemplate.spec,
    status: { conditions: ended ? [{ type: ended, status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z' }] : [] },
  } as unknown as Job);
}

/** Its pod, as it is in the cache. */
function pod(scope: CleanupScope, phase: string, deleted = false): Pod {
  const labels = cleanupLabels('acme');
  const controller = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    name: 'acme-cleanup-1',
    uid: 'uid-of-job',
    controller: true,
  };
  const spec = cleanupPod(tenant, { image: 'i', args: ['--ttl=720h'], ...scope });
  const metadata = {
    name: 'acme-cleanup-1-x',
    labels,
    ownerReferences: [controller],
    ...(deleted && { deletionTimestamp: '2026-01-02T03:04:05Z' }),
  };
  return slimPod({ apiVersion: 'v1', kind: 'Pod', metadata, spec, status: { phase } });
}

const decide = (state: 'Stopped' | 'Running' | 'Failed', jobs: readonly Job[], pods: readonly Pod[] = []) => {
  const { reason, message, withdrawn } = volumeJobsDecision({ volume: 'acme-1', state, jobs, pods });
  return [reason, message, withdrawn.length];
};
const FOR_JOB = 'Job acme-cleanup-1, which deletes sessions on its volume, has ended or is deleted';
const FOR_POD = 'pod acme-cleanup-1-x has finished cleaning up its volume';

describe('a Job that deletes on the volume of a server', () => {
  it.each<[string, readonly Pod[], string, number]>([
    ['whose pod was refused until now, is withdrawn first', [], FOR_JOB, 1],
    ['whose pod does not run yet, is withdrawn first', [pod(ON_VOLUMES, 'Pending')], FOR_POD, 1],
    ['whose pod works, ends first', [pod(ON_VOLUMES, 'Running')], FOR_POD, 0],
    ['whose pod is stopping, ends first', [pod(ON_VOLUMES, 'Running', true)], FOR_POD, 0],
    ['whose pod has failed and is created again, is withdrawn first', [pod(ON_VOLUMES, 'Failed')], FOR_JOB, 1],
  ])('that starts from zero, %s', (_case, pods, message, withdrawn) => {
    expect(decide('Stopped', [run(ON_VOLUMES)], pods)).toEqual(['WaitsForJob', message, withdrawn]);
  });

  it.each([[], [pod(ON_VOLUMES, 'Pending')], [pod(ON_VOLUMES, 'Running')]])(
    'that runs is deleted whatever it does: %#',
    (...pods) => {
      expect(decide('Running', [run(ON_VOLUMES)], pods)).toEqual(['RunsBesideJob', undefined, 1]);
    },
  );

  it('that is being deleted is waited for, and not deleted twice', () => {
    expect(decide('Stopped', [run(ON_VOLUMES, { terminating: true })])).toEqual(['WaitsForJob', FOR_JOB, 0]);
    expect(decide('Running', [run(ON_VOLUMES, { terminating: true })])).toEqual(['None', undefined, 0]);
  });

  it.each(['Complete', 'Failed'])('that has ended does not matter: %s', (ended) => {
    for (const state of ['Stopped', 'Running'] as const) {
      expect(decide(state, [run(ON_VOLUMES, { ended })], [pod(ON_VOLUMES, 'Succeeded')])).toEqual([
        'None',
        undefined,
        0,
      ]);
    }
  });

  it('that can’t run stays: its sessions are deleted by Jobs', () => {
    expect(decide('Failed', [run(ON_VOLUMES)])).toEqual(['ServerFailed', undefined, 0]);
  });

  it('that another controller has created is waited for, but not deleted', () => {
    const owner = { apiVersion: 'example.com/v1', kind: 'Workflow' };
    expect(decide('Stopped', [run(ON_VOLUMES, { owner })])).toEqual(['WaitsForJob', FOR_JOB, 0]);
    expect(decide('Running', [run(ON_VOLUMES, { owner })])).toEqual(['None', undefined, 0]);
  });
});

it('a Job that works through the server, only sweeps, or is about another volume does not matter', () => {
  const sweep = slimJob({ ...sweepJob(tenant, 1, { image: 'i', at: 'now', besideServer: true }), status: {} });
  const other = run({ ...ON_VOLUMES, volumes: [0] });
  for (const state of ['Stopped', 'Running'] as const) {
    expect(decide(state, [run(THROUGH), sweep, other], [pod(THROUGH, 'Running')])).toEqual(['None', undefined, 0]);
  }
});

it('a pod that only a sidecar keeps running has finished', () => {
  const ended = pod(ON_VOLUMES, 'Running');
  const status = { phase: 'Running', containerStatuses: [{ name: 'cleanup', state: { terminated: { exitCode: 0 } } }] };
  expect(decide('Stopped', [], [{ ...ended, status } as Pod])).toEqual(['None', undefined, 0]);
  expect(decide('Stopped', [run(ON_VOLUMES)], [{ ...ended, status } as Pod])).toEqual(['WaitsForJob', FOR_JOB, 1]);
});

describe('a CronJob', () => {
  it('of a suspended tenant creates Jobs that delete on volumes, that of a running one does not', () => {
    expect(deletesOnVolumes(cron(ON_VOLUMES), ['acme-1'])).toBe(true);
    expect(deletesOnVolumes(cron(ON_VOLUMES), [])).toBe(false);
    expect(deletesOnVolumes(cron(THROUGH), ['acme-0', 'acme-1'])).toBe(false);
    expect(deletesOnVolumes(undefined, ['acme-0'])).toBe(false);
  });
});
