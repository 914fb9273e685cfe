import { describe, expect, it } from '@jest/globals';
import type { Pod } from '../../../src/kube/types/builtins.ts';
import { differences } from '../../../src/kube/write/diff.ts';
import { cleanupLabels, cleanupPod, deletesOnVolume } from '../../../src/resources/cleanup-pod.ts';
import { deployment } from '../../../src/tenant/builders/deployment.ts';
import { podCause } from '../../../src/tenant/decisions/pod-cause.ts';
import { observeServer } from '../../../src/tenant/observe.ts';
import { mountsClaim, pingAddress } from '../../../src/tenant/pods.ts';
import { slimDeployment, slimJob, slimPod } from '../../../src/tenant/transforms.ts';
import { tenantKeys } from '../../../src/tenant/read-servers.ts';
import { sampleTenant, serverPod } from '../../support/tenants.ts';
import { NOW } from './fixtures.ts';

const tenant = sampleTenant();

function crowdedPod(status: NonNullable<Pod['status']> = {}): Pod {
  const pod = serverPod(tenant, 0, {
    annotations: { note: 'of another writer' },
    ownerReferences: [
      { apiVersion: 'v1', kind: 'Node', name: 'other', uid: 'uid-of-node' },
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'acme-0-x', uid: 'uid-of-set', controller: true },
    ],
    managedFields: [{ manager: 'kubelet' }],
    creationTimestamp: '2026-01-02T03:04:05Z',
    deletionTimestamp: '2026-01-02T03:05:05Z',
  });
  return { ...pod, spec: { containers: [{ name: 'server', image: 'i' }] }, status: { ...pod.status, ...status } };
}

describe('a cached pod', () => {
  const server = (pod: Pod) => ({ index: 0, pods: [pod] });
  const observe = (pod: Pod) =>
    observeServer({ tenant: 'acme', server: server(pod), running: true, health: { state: 'Unknown' }, now: NOW });

  it('is enough to observe the same server', () => {
    const { metadata, ...pod } = crowdedPod();
    const { deletionTimestamp: _, ...alive } = metadata;
    const { stopping: _stopping, ...seen } = observe({ ...pod, metadata: alive });
    expect(observe(slimPod({ ...pod, metadata: alive }))).toMatchObject(seen);
  });

  it('has the address to ping', () => {
    expect(pingAddress(slimPod(crowdedPod()))).toBe('10.1.0.1');
  });

  it('has the label of its tenant', () => {
    expect(tenantKeys(slimPod(crowdedPod()))).toEqual(['team/acme']);
  });

  it('has its controller, and no other owner', () => {
    expect(slimPod(crowdedPod()).metadata.ownerReferences).toEqual([
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'acme-0-x', uid: 'uid-of-set', controller: true },
    ]);
  });

  it('has the claims that it mounts, and no other volume', () => {
    const volumes = [
      { name: 'home', emptyDir: {} },
      { name: 'sessions', persistentVolumeClaim: { claimName: 'acme-0', readOnly: true } },
    ];
    const slim = slimPod({ ...crowdedPod(), spec: { containers: [], volumes } });
    expect(slim.spec?.volumes).toEqual([{ name: 'sessions', persistentVolumeClaim: { claimName: 'acme-0' } }]);
    expect(['acme-0', 'acme-1', 'home'].filter((claim) => mountsClaim(slim, claim))).toEqual(['acme-0']);
  });

  it('has its deletion timestamp', () => {
    expect(slimPod(crowdedPod()).metadata.deletionTimestamp).toBe('2026-01-02T03:05:05Z');
  });

  it.each([
    [
      'cannot be scheduled',
      {
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no node fits' }],
        phase: 'Pending',
      },
    ],
    [
      'waits for an init container',
      {
        phase: 'Pending',
        initContainerStatuses: [
          {
            name: 'injected',
            image: 'none',
            imageID: '',
            ready: false,
            restartCount: 0,
            state: { waiting: { reason: 'ErrImagePull' } },
          },
        ],
      },
    ],
    [
      'crashed',
      {
        containerStatuses: [
          {
            name: 'server',
            image: 'i',
            imageID: 'i',
            ready: false,
            restartCount: 3,
            state: { waiting: { reason: 'CrashLoopBackOff' } },
            lastState: { terminated: { exitCode: 1, message: 'no such option' } },
          },
        ],
      },
    ],
  ] satisfies [string, NonNullable<Pod['status']>][])('is enough to decide why it %s', (_, status) => {
    const pod = crowdedPod(status);
    const cause = podCause(pod, 'acme-0', { now: NOW });
    expect(cause).toBeDefined();
    expect(podCause(slimPod(pod), 'acme-0', { now: NOW })).toEqual(cause);
  });

  it('has the result of a cleanup run, and is not mistaken for a server', () => {
    const labels = cleanupLabels('acme');
    const terminated = { exitCode: 0, message: '{"result":"Succeeded"}' };
    const pod = crowdedPod({
      containerStatuses: [
        { name: 'cleanup', image: 'i', imageID: 'i', ready: false, restartCount: 0, state: { terminated } },
      ],
    });
    const slim = slimPod({ ...pod, metadata: { ...pod.metadata, labels } });
    expect(slim.metadata.labels).toEqual({ 'copilot-operator.dev/tenant': 'acme' });
    expect(slim.status?.containerStatuses?.[0]?.state?.terminated).toEqual(terminated);
  });

  it('has the volumes of a cleanup run', () => {
    const spec = cleanupPod(tenant, { image: 'i', args: ['--ttl=720h'], servers: [], volumes: [0] });
    const { metadata, ...pod } = crowdedPod();
    const slim = slimPod({ ...pod, metadata: { ...metadata, labels: cleanupLabels('acme') }, spec });
    expect(['acme-0', 'acme-1', 'acme'].filter((server) => deletesOnVolume(slim, server))).toEqual(['acme-0']);
    expect(Object.keys(slim.spec ?? {})).toEqual(['containers']);
  });

  it('has nothing that is not read', () => {
    const { metadata, spec } = slimPod(crowdedPod());
    const { annotations, managedFields } = metadata;
    expect([annotations, managedFields, spec]).toEqual(Array(3).fill(undefined));
  });
});

describe('a cached Deployment', () => {
  const applied = deployment(tenant, 0, { image: { image: 'i', isDefault: true }, running: true, credentialsHash: '' });
  const live = () => ({
    ...structuredClone(applied),
    status: {
      conditions: [
        { type: 'Available', status: 'True' },
        { type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' },
      ],
    },
  });

  it('has everything that is applied, so that drift is detected', () => {
    expect(differences(applied, slimDeployment(live()))).toEqual([]);
  });

  it('has the reason why no pod could be created', () => {
    expect(slimDeployment(live()).status?.conditions).toEqual([
      { type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' },
    ]);
  });
});

describe('a cached Job', () => {
  it('has its owner and how it ended', () => {
    const owner = { apiVersion: 'batch/v1', kind: 'CronJob', name: 'acme-cleanup', uid: 'uid-of-cronjob' };
    const failed = {
      type: 'Failed',
      status: 'True',
      reason: 'DeadlineExceeded',
      lastTransitionTime: '2026-01-02T03:04:05Z',
    };
    const metadata = {
      name: 'acme-cleanup-1',
      namespace: 'team',
      uid: 'u',
      labels: cleanupLabels('acme'),
      ownerReferences: [owner],
    };
    const slim = slimJob({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { ...metadata, annotations: { note: 'of another writer' }, managedFields: [{ manager: 'controller' }] },
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'cleanup', image: 'i', args: ['--sweep', '--delete-session=a'] },
              { name: 'sidecar', args: ['b'] },
            ],
          },
        },
      },
      status: { failed: 1, conditions: [{ type: 'FailureTarget', status: 'True' }, failed] },
    });
    const spec = { template: { spec: { containers: [{ name: 'cleanup', args: ['--sweep'] }] } } };
    expect(slim).toEqual({ apiVersion: 'batch/v1', kind: 'Job', metadata, spec, status: { conditions: [failed] } });
    expect(tenantKeys(slim)).toEqual(['team/acme']);
  });
});
