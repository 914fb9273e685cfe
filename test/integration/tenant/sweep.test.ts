// How a volume is swept of what deletions have left on it, on a real API server. The test plays the controller of Jobs.
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
/** What was told of sweeps. */
const swept = (world: ReconcilerWorld) => world.events.filter((event) => event.includes('Sweep'));
const asked = async (world: ReconcilerWorld) =>
  (await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.annotations?.[SWEEP_AT];

/** Asks for a sweep of the volume of acme-0, as whoever deletes a session does. */
async function ask(world: ReconcilerWorld, afterMs = 0): Promise<string> {
  const at = timestamp(world.clock.now() + afterMs);
  await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { annotations: { [SWEEP_AT]: at } } });
  await world.settle();
  return at;
}

/** The Job's pod has ended, and has seen this of the volume. */
async function see(world: ReconcilerWorld, fill: Omit<MeasuredVolume, 'name' | 'size'> = { space: 10 }): Promise<void> {
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

/** A tenant whose one server runs. */
async function running(world: ReconcilerWorld): Promise<Pod> {
  await world.createTenant('acme');
  await world.settle();
  const pod = await world.startPod('acme', 0);
  await world.settle();
  return pod;
}

describe('a volume of which a sweep is asked for', () => {
  it('is swept when it is time, beside its server, and then nothing is left of it', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const at = await ask(world, 30 * SECOND);
    expect(await sweep(world)).toBeUndefined();
    await world.clock.advance(31 * SECOND);
    await world.settle();
    const made = await sweep(world);
    expect(made?.metadata.annotations).toMatchObject({ [SWEEP_AT]: at });
    expect(made?.spec?.template.spec?.affinity?.podAffinity).toHaveProperty(
      'requiredDuringSchedulingIgnoredDuringExecution',
    );
    await see(world);
    await end(world, 'Complete');
    expect([await sweep(world), await asked(world)]).toEqual([undefined, undefined]);
    expect(swept(world)).toEqual([]);
    const { resourceVersion } = (await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata ?? {};
    await world.pass('acme');
    expect((await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.resourceVersion).toBe(resourceVersion);
  });

  it('is swept once more when that was asked for while a sweep was under way', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await ask(world);
    const first = await sweep(world);
    const second = await ask(world, 30 * SECOND);
    expect((await sweep(world))?.metadata.uid).toBe(first?.metadata.uid);
    await see(world);
    await end(world, 'Complete');
    expect([await sweep(world), await asked(world)]).toEqual([undefined, second]);
    await world.clock.advance(31 * SECOND);
    await world.settle();
    expect((await sweep(world))?.metadata.annotations).toMatchObject({ [SWEEP_AT]: second });
  });

  it('is told when it can’t be swept, once, and tried again in an hour; its server is as ready as before', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await ask(world);
    const { status } = await world.tenant('acme');
    await end(world, 'Failed');
    expect(swept(world)).toEqual(['Warning SweepFailed']);
    const later = await asked(world);
    expect(Date.parse(later ?? '') - world.clock.now()).toBeGreaterThan(3590 * SECOND);
    expect((await world.tenant('acme')).status).toEqual(status);
    const failed = await sweep(world);
    expect(failed?.metadata.deletionTimestamp).toBeUndefined();
    await world.advance(3601 * SECOND);
    await world.pass('acme');
    await world.settle();
    const next = await sweep(world);
    expect(next?.metadata.annotations).toMatchObject({ [SWEEP_AT]: later });
    expect(next?.metadata.uid).not.toBe(failed?.metadata.uid);
  });

  it('is told when its Job is refused, once, and tried again in an hour; its server is as ready as before', async () => {
    const proxy = await api.proxy();
    await using world = await ReconcilerWorld.open(api.server.kubeconfig({ server: proxy.url }));
    await running(world);
    const { status } = await world.tenant('acme');
    const message = 'jobs.batch "acme-sweep0" is forbidden: exceeded quota: no-jobs, requested: count/jobs.batch=1';
    const refusal = { kind: 'respond', status: 403, reason: 'Forbidden', message } as const;
    proxy.inject({ verb: 'create', resource: 'jobs' }, refusal, { times: Infinity });
    await ask(world);
    expect(swept(world)).toEqual(['Warning SweepFailed']);
    const later = await asked(world);
    expect(Date.parse(later ?? '') - world.clock.now()).toBeGreaterThan(3590 * SECOND);
    await world.pass('acme');
    await world.settle();
    expect([swept(world), await asked(world)]).toEqual([['Warning SweepFailed'], later]);
    expect((await world.tenant('acme')).status).toEqual(status);
  });

  it('stays asked for when the operator writes its claim', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const claim = await world.client.get(PersistentVolumeClaim, world.ref('acme-0'));
    await requestSweep(world.client, claim, world.clock.now() + 3600 * SECOND, AbortSignal.timeout(10_000));
    const at = await asked(world);
    await world.patch(CopilotTenant, 'acme', { spec: { storage: { reclaimPolicy: 'Delete' } } });
    await world.settle();
    const after = await world.client.get(PersistentVolumeClaim, world.ref('acme-0'));
    expect(after.metadata.ownerReferences).not.toEqual(claim.metadata.ownerReferences);
    expect([at, await asked(world)]).toEqual([expect.any(String), at]);
  });

  it('is let go when its server has to start, and swept after that', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const pod = await running(world);
    await ask(world);
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
    await ask(world);
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

  it('leaves another one’s Job of that name alone, and tells it', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await api.kubectl.ok(['create', 'job', 'acme-sweep0', '--image=i', '-n', world.namespace]);
    const before = await sweep(world);
    const { status } = await world.tenant('acme');
    await ask(world);
    expect(await sweep(world)).toEqual(before);
    expect(swept(world)).toEqual(['Warning SweepFailed']);
    expect((await world.tenant('acme')).status).toEqual(status);
  });
});

/** A tenant whose one server runs, with a volume of 64Mi. */
async function withSmallVolume(world: ReconcilerWorld): Promise<void> {
  await running(world);
  await bind(world);
}

async function bind(world: ReconcilerWorld): Promise<void> {
  const status = { phase: 'Bound', capacity: { storage: '64Mi' } };
  await world.patch(PersistentVolumeClaim, 'acme-0', { status }, 'status');
  // The clock stood still while the claim was made: what is seen of the volume is seen after that.
  await world.clock.advance(10 * SECOND);
  await world.settle();
}
const usage = async (world: ReconcilerWorld) => (await world.tenant('acme')).status?.servers?.[0]?.volumeUsage;
const pressure = async (world: ReconcilerWorld) =>
  findCondition((await world.tenant('acme')).status?.conditions, 'StoragePressure');

describe('what a sweep has seen of the volume', () => {
  it('is told before its Job goes, also when the pod is seen later than the Job', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await withSmallVolume(world);
    await ask(world);
    await end(world, 'Complete');
    expect(await sweep(world)).toBeDefined();
    await see(world, { space: 18, files: 97 });
    await world.clock.advance(SECOND);
    await world.settle();
    expect([await sweep(world), await asked(world)]).toEqual([undefined, undefined]);
    const at = timestamp(world.clock.now() - SECOND);
    expect(await usage(world)).toEqual({ time: at, space: 18, files: 97, capacity: '64Mi' });
    const { resourceVersion } = (await world.tenant('acme')).metadata;
    await world.pass('acme');
    await world.settle();
    expect((await world.tenant('acme')).metadata.resourceVersion).toBe(resourceVersion);
  });

  it('is waited for ten seconds and no longer', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await withSmallVolume(world);
    await ask(world);
    await end(world, 'Complete');
    expect(await sweep(world)).toBeDefined();
    await world.clock.advance(30 * SECOND);
    await world.settle();
    expect([await sweep(world), await asked(world), await usage(world)]).toEqual([undefined, undefined, undefined]);
  });
});

describe('a volume whose sessions may be all the files that it can hold', () => {
  it('is looked at, once an hour at most, and tells when it is full and when it is no longer', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await withSmallVolume(world);
    world.sessions.set(`${world.namespace}/acme-0`, { unloaded: 453, sizeBytes: 100 });
    await world.pass('acme');
    await world.settle();
    expect(await pressure(world)).toMatchObject({ status: 'False' });
    expect(await asked(world)).toBeDefined();
    await see(world, { space: 18, files: 100 });
    await end(world, 'Complete');
    expect([await sweep(world), await asked(world)]).toEqual([undefined, undefined]);
    expect(await pressure(world)).toMatchObject({ status: 'True', reason: 'VolumeFull' });
    expect((await pressure(world))?.message).toContain('is out of inodes');

    await world.advance(3600 * SECOND);
    await world.pass('acme');
    await world.settle();
    expect(await asked(world)).toBeUndefined();
    world.sessions.set(`${world.namespace}/acme-0`, { unloaded: 20, sizeBytes: 100 });
    await world.advance(301 * SECOND);
    await world.pass('acme');
    await world.settle();
    await see(world, { space: 3, files: 6 });
    await end(world, 'Complete');
    expect(await pressure(world)).toMatchObject({ status: 'False', reason: 'EnoughSpace' });
    expect(await asked(world)).toBeUndefined();
  });
});

describe('a volume of a tenant that is suspended', () => {
  it('tells how full it is once it was swept', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { suspend: true });
    await world.settle();
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await bind(world);
    expect(await pressure(world)).toMatchObject({ status: 'Unknown', reason: 'NotMeasured' });
    await ask(world);
    await see(world, { space: 90 });
    await end(world, 'Complete');
    expect(await pressure(world)).toMatchObject({ status: 'True', reason: 'VolumeNearlyFull' });
  });
});
