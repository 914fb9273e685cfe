// How volumes are swept of the files that deletions leave, with a real API server. The test plays the Job controller.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Job, PersistentVolumeClaim, type Pod } from '../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import type { MeasuredVolume } from '../../../src/resources/cleanup-result.ts';
import { requestSweep } from '../../../src/resources/sweep-request.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { endCleanupPod, endedJob } from '../../support/jobs.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

const SWEEP_AT = 'copilot-operator.dev/sweep-at';
const SECOND = 1_000;

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const sweep = (world: ReconcilerWorld) => world.get(Job, 'acme-sweep0');
/** The events about sweeps. */
const sweepEvents = (world: ReconcilerWorld) => world.events.filter((event) => event.includes('Sweep'));
const requestedAt = async (world: ReconcilerWorld) =>
  (await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.annotations?.[SWEEP_AT];

/** Requests a sweep of the volume of acme-0, as the deletion of a session does. */
async function request(world: ReconcilerWorld, afterMs = 0): Promise<string> {
  const at = timestamp(world.clock.now() + afterMs);
  await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { annotations: { [SWEEP_AT]: at } } });
  await world.settle();
  return at;
}

/** The pod of the Job ends with this measurement of the volume. */
async function endPod(
  world: ReconcilerWorld,
  fill: Omit<MeasuredVolume, 'name' | 'size'> = { space: 10 },
): Promise<void> {
  const counts = { dryRun: false, kept: 0, deleted: 0, freedBytes: 0, sweptFiles: 0, errors: 0 };
  await endCleanupPod(world, 'acme-sweep0', {
    result: 'Succeeded',
    ...counts,
    volumes: [{ name: 'acme-0', size: 100 * 2 ** 20, ...fill }],
  });
  await world.settle();
}

async function end(world: ReconcilerWorld, type: 'Complete' | 'Failed'): Promise<void> {
  await world.patch(
    Job,
    'acme-sweep0',
    { status: endedJob(type, 'the backoff limit was reached', world.clock.now()) },
    'status',
  );
  await world.settle();
}

/** A tenant with one running server. */
async function running(world: ReconcilerWorld): Promise<Pod> {
  await world.createTenant('acme');
  await world.settle();
  const pod = await world.startPod('acme', 0);
  await world.settle();
  return pod;
}

describe('a volume with a requested sweep', () => {
  it('is swept when it is due, beside its server, and then Job and request are deleted', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const at = await request(world, 30 * SECOND);
    expect(await sweep(world)).toBeUndefined();
    await world.clock.advance(31 * SECOND);
    await world.settle();
    const made = await sweep(world);
    expect(made?.metadata.annotations).toMatchObject({ [SWEEP_AT]: at });
    expect(made?.spec?.template.spec?.affinity?.podAffinity).toHaveProperty(
      'requiredDuringSchedulingIgnoredDuringExecution',
    );
    await endPod(world);
    await end(world, 'Complete');
    expect([await sweep(world), await requestedAt(world)]).toEqual([undefined, undefined]);
    expect(sweepEvents(world)).toEqual([]);
    const { resourceVersion } = (await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata ?? {};
    await world.reconcile('acme');
    expect((await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.resourceVersion).toBe(resourceVersion);
  });

  it('is swept again when that was requested during a sweep', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await request(world);
    const first = await sweep(world);
    const second = await request(world, 30 * SECOND);
    expect((await sweep(world))?.metadata.uid).toBe(first?.metadata.uid);
    await endPod(world);
    await end(world, 'Complete');
    expect([await sweep(world), await requestedAt(world)]).toEqual([undefined, second]);
    await world.clock.advance(31 * SECOND);
    await world.settle();
    expect((await sweep(world))?.metadata.annotations).toMatchObject({ [SWEEP_AT]: second });
  });

  it('is reported once when the sweep fails, and retried in an hour, without effect on the server', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await request(world);
    const { status } = await world.tenant('acme');
    await end(world, 'Failed');
    expect(sweepEvents(world)).toEqual(['Warning SweepFailed']);
    const later = await requestedAt(world);
    expect(Date.parse(later ?? '') - world.clock.now()).toBeGreaterThan(3590 * SECOND);
    expect((await world.tenant('acme')).status).toEqual(status);
    const failed = await sweep(world);
    expect(failed?.metadata.deletionTimestamp).toBeUndefined();
    await world.advance(3601 * SECOND);
    await world.reconcile('acme');
    await world.settle();
    const next = await sweep(world);
    expect(next?.metadata.annotations).toMatchObject({ [SWEEP_AT]: later });
    expect(next?.metadata.uid).not.toBe(failed?.metadata.uid);
  });

  it('is reported once when the Job is refused, and retried in an hour, without effect on the server', async () => {
    const proxy = await api.proxy();
    await using world = await ReconcilerWorld.open(api.server.kubeconfig({ server: proxy.url }));
    await running(world);
    const { status } = await world.tenant('acme');
    const message = 'jobs.batch "acme-sweep0" is forbidden: exceeded quota: no-jobs, requested: count/jobs.batch=1';
    const refusal = { kind: 'respond', status: 403, reason: 'Forbidden', message } as const;
    proxy.inject({ verb: 'create', resource: 'jobs' }, refusal, { times: Infinity });
    await request(world);
    expect(sweepEvents(world)).toEqual(['Warning SweepFailed']);
    const later = await requestedAt(world);
    expect(Date.parse(later ?? '') - world.clock.now()).toBeGreaterThan(3590 * SECOND);
    await world.reconcile('acme');
    await world.settle();
    expect([sweepEvents(world), await requestedAt(world)]).toEqual([['Warning SweepFailed'], later]);
    expect((await world.tenant('acme')).status).toEqual(status);
  });

  it('keeps its request when the operator applies its claim', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const claim = await world.client.get(PersistentVolumeClaim, world.ref('acme-0'));
    await requestSweep(world.client, claim, world.clock.now() + 3600 * SECOND, AbortSignal.timeout(10_000));
    const at = await requestedAt(world);
    await world.patch(CopilotTenant, 'acme', { spec: { storage: { reclaimPolicy: 'Delete' } } });
    await world.settle();
    const after = await world.client.get(PersistentVolumeClaim, world.ref('acme-0'));
    expect(after.metadata.ownerReferences).not.toEqual(claim.metadata.ownerReferences);
    expect([at, await requestedAt(world)]).toEqual([expect.any(String), at]);
  });

  it('is released when its server has to start, and swept after that', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const pod = await running(world);
    await request(world);
    expect(await sweep(world)).toBeDefined();
    await world.removePod(pod);
    await world.settle();
    expect(await sweep(world)).toBeUndefined();
    await world.startPod('acme', 0);
    await world.settle();
    expect(await sweep(world)).toBeDefined();
  });

  it('is swept without its server when the tenant was suspended meanwhile', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const pod = await running(world);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await request(world);
    expect(await sweep(world)).toBeUndefined();
    await world.removePod(pod);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    const made = await sweep(world);
    expect(made?.spec?.template.spec?.containers[0]?.args).toContain('--volume=acme-0=/volumes/acme-0');
    expect(made?.spec?.template.spec?.affinity?.podAffinity).not.toHaveProperty(
      'requiredDuringSchedulingIgnoredDuringExecution',
    );
  });

  it('does not change a foreign Job of that name, and reports it', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await api.kubectl.ok(['create', 'job', 'acme-sweep0', '--image=i', '-n', world.namespace]);
    const before = await sweep(world);
    const { status } = await world.tenant('acme');
    await request(world);
    expect(await sweep(world)).toEqual(before);
    expect(sweepEvents(world)).toEqual(['Warning SweepFailed']);
    expect((await world.tenant('acme')).status).toEqual(status);
  });
});

/** A tenant with one running server and a volume of 64Mi. */
async function withSmallVolume(world: ReconcilerWorld): Promise<void> {
  await running(world);
  await bind(world);
}

async function bind(world: ReconcilerWorld): Promise<void> {
  const status = { phase: 'Bound', capacity: { storage: '64Mi' } };
  await world.patch(PersistentVolumeClaim, 'acme-0', { status }, 'status');
  // The clock did not advance while the claim was created; a measurement has to be later.
  await world.clock.advance(10 * SECOND);
  await world.settle();
}
const usage = async (world: ReconcilerWorld) => (await world.tenant('acme')).status?.servers?.[0]?.volumeUsage;
const pressure = async (world: ReconcilerWorld) =>
  findCondition((await world.tenant('acme')).status?.conditions, 'StoragePressure');

describe('the measurement of a sweep', () => {
  it('is in the status before the Job is deleted, also when the pod is observed later than the Job', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await withSmallVolume(world);
    await request(world);
    await end(world, 'Complete');
    expect(await sweep(world)).toBeDefined();
    await endPod(world, { space: 18, files: 97 });
    await world.clock.advance(SECOND);
    await world.settle();
    expect([await sweep(world), await requestedAt(world)]).toEqual([undefined, undefined]);
    const at = timestamp(world.clock.now() - SECOND);
    expect(await usage(world)).toEqual({ time: at, space: 18, files: 97, capacity: '64Mi' });
    const { resourceVersion } = (await world.tenant('acme')).metadata;
    await world.reconcile('acme');
    await world.settle();
    expect((await world.tenant('acme')).metadata.resourceVersion).toBe(resourceVersion);
  });

  it('is waited for ten seconds and no longer', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await withSmallVolume(world);
    await request(world);
    await end(world, 'Complete');
    expect(await sweep(world)).toBeDefined();
    await world.clock.advance(30 * SECOND);
    await world.settle();
    expect([await sweep(world), await requestedAt(world), await usage(world)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('a volume whose sessions may use up its inodes', () => {
  it('is measured at most once an hour, and reported when it is full and when it is no longer', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await withSmallVolume(world);
    world.sessions.set(`${world.namespace}/acme-0`, { unloaded: 453, sizeBytes: 100 });
    await world.reconcile('acme');
    await world.settle();
    expect(await pressure(world)).toMatchObject({ status: 'False' });
    expect(await requestedAt(world)).toBeDefined();
    await endPod(world, { space: 18, files: 100 });
    await end(world, 'Complete');
    expect([await sweep(world), await requestedAt(world)]).toEqual([undefined, undefined]);
    expect(await pressure(world)).toMatchObject({ status: 'True', reason: 'VolumeFull' });
    expect((await pressure(world))?.message).toContain('is out of inodes');

    await world.advance(3600 * SECOND);
    await world.reconcile('acme');
    await world.settle();
    expect(await requestedAt(world)).toBeUndefined();
    world.sessions.set(`${world.namespace}/acme-0`, { unloaded: 20, sizeBytes: 100 });
    await world.advance(301 * SECOND);
    await world.reconcile('acme');
    await world.settle();
    await endPod(world, { space: 3, files: 6 });
    await end(world, 'Complete');
    expect(await pressure(world)).toMatchObject({ status: 'False', reason: 'EnoughSpace' });
    expect(await requestedAt(world)).toBeUndefined();
  });
});

describe('a volume of a suspended tenant', () => {
  it('is measured when it is swept', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { suspend: true });
    await world.settle();
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await bind(world);
    expect(await pressure(world)).toMatchObject({ status: 'Unknown', reason: 'NotMeasured' });
    await request(world);
    await endPod(world, { space: 90 });
    await end(world, 'Complete');
    expect(await pressure(world)).toMatchObject({ status: 'True', reason: 'VolumeNearlyFull' });
  });
});
