// How a volume is swept of what deletions have left on it, on a real API server. The test plays the controller of Jobs.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Job, PersistentVolumeClaim, type Pod } from '../../../src/kube/builtins.ts';
import { timestamp } from '../../../src/kube/time.ts';
import { askForSweep } from '../../../src/resources/sweep.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { endedJob } from '../../support/jobs.ts';
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

async function end(world: ReconcilerWorld, type: 'Complete' | 'Failed'): Promise<void> {
  await world.patch(Job, 'acme-sweep0', { status: endedJob(type, 'the backoff limit was reached') }, 'status');
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
    await world.clock.advance(3601 * SECOND);
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
    const refusal = { kind: 'answer', status: 403, reason: 'Forbidden', message } as const;
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
    await askForSweep(world.client, claim, world.clock.now() + 3600 * SECOND, AbortSignal.timeout(10_000));
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
