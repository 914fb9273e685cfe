// Volumes that grow, those that cannot, and the way back, over a real API server: it refuses growth and shrinkage itself.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { Deployment, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
  for (const [name, allowVolumeExpansion] of Object.entries({ elastic: true, fixed: false })) {
    const kind = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name } };
    await api.kubectl.ok(['create', '-f', '-'], { ...kind, provisioner: 'example.com/disks', allowVolumeExpansion });
  }
}, 90_000);
afterAll(() => api.stop());

/** Plays the provisioner, or its resizer. */
const give = (world: ReconcilerWorld, server: string, storage: string) =>
  world.patch(PersistentVolumeClaim, server, { status: { phase: 'Bound', capacity: { storage } } }, 'status');

/** A tenant whose servers run and answer, each with a volume of 1Gi. */
async function running(world: ReconcilerWorld, storageClassName: string, replicas = 1): Promise<void> {
  await world.createTenant('acme', { replicas, storage: { size: '1Gi', storageClassName } });
  await world.settle();
  for (let index = 0; index < replicas; index++) {
    await give(world, `acme-${index}`, '1Gi');
    await world.startPod('acme', index);
    await world.sync();
    await world.pass('acme');
    world.health.set(`${world.namespace}/acme-${index}`, { state: 'Healthy', version: '1.0', since: 0 });
  }
  await world.pass('acme');
  await world.settle();
}

/** Somebody sets the size. Resolves with what the API server says against it. */
async function resize(world: ReconcilerWorld, size: string): Promise<string | undefined> {
  const patch = JSON.stringify({ spec: { storage: { size } } });
  const { code, stderr } = await api.kubectl.try([
    'patch',
    'ct/acme',
    '-n',
    world.namespace,
    '--type=merge',
    '-p',
    patch,
  ]);
  await world.settle();
  return code === 0 ? undefined : stderr;
}

const condition = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);
const asked = async (world: ReconcilerWorld, server = 'acme-0') =>
  (await world.get(PersistentVolumeClaim, server))?.spec?.resources?.requests?.['storage'];

async function versions(world: ReconcilerWorld): Promise<unknown[]> {
  const found = [
    await world.get(CopilotTenant, 'acme'),
    await world.get(PersistentVolumeClaim, 'acme-0'),
    await world.get(Deployment, 'acme-0'),
  ];
  return found.map((object) => object?.metadata.resourceVersion);
}

/** The tenant is as it should be, and further looks write nothing. */
async function expectAtRest(world: ReconcilerWorld): Promise<void> {
  expect(await condition(world, 'Ready')).toMatchObject({ status: 'True', reason: 'ServersReady' });
  expect(await condition(world, 'Stalled')).toMatchObject({ status: 'False' });
  expect(await condition(world, 'Reconciling')).toMatchObject({ status: 'False', reason: 'UpToDate' });
  const before = await versions(world);
  await world.pass('acme');
  await world.settle();
  expect(await versions(world)).toEqual(before);
}

describe('a volume whose class lets it grow', () => {
  it('grows with the spec, and then nothing more is written', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'elastic');
    expect(await resize(world, '2Gi')).toBeUndefined();
    expect(await asked(world)).toBe('2Gi');
    expect(await condition(world, 'Reconciling')).toMatchObject({
      status: 'True',
      reason: 'VolumeResizing',
      message: 'Expanding the volumes of servers: acme-0.',
    });
    await give(world, 'acme-0', '2Gi');
    await world.settle();
    expect((await world.tenant('acme')).status?.minimumStorageSize).toBe('2Gi');
    await expectAtRest(world);
  });

  it('takes a growth back as far as it has not happened', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'elastic');
    await resize(world, '100Gi');
    expect(await asked(world)).toBe('100Gi');
    expect(await resize(world, '3Gi')).toBeUndefined();
    expect(await asked(world)).toBe('3Gi');
    // Kubernetes lets no claim go back to exactly what its volume has: the tenant waits for no growth then.
    expect(await resize(world, '1Gi')).toBeUndefined();
    expect(await asked(world)).toBe('3Gi');
    await expectAtRest(world);
  });

  it('is never asked to shrink', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'elastic', 2);
    await resize(world, '4Gi');
    // One has grown and the other one not yet.
    await give(world, 'acme-1', '4Gi');
    await world.settle();
    for (const size of ['1Gi', '4095Mi', '3.9Gi']) {
      const refused = await resize(world, size);
      expect(refused).toContain('spec.storage.size');
      expect(refused).toContain('must not be below status.minimumStorageSize: volumes do not shrink');
    }
    expect([await asked(world), await asked(world, 'acme-1')]).toEqual(['4Gi', '4Gi']);
    for (const size of ['4096Mi', '5Gi']) expect(await resize(world, size)).toBeUndefined();
  });
});

describe('a volume whose class does not let it grow', () => {
  it('is told with the way back, and set back the tenant is as before', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'fixed');
    const before = await world.get(PersistentVolumeClaim, 'acme-0');
    expect(await resize(world, '100Gi')).toBeUndefined();
    const stalled = await condition(world, 'Stalled');
    expect(stalled).toMatchObject({ status: 'True', reason: 'VolumeNotExpandable' });
    expect(stalled?.message).toMatch(/PersistentVolumeClaim acme-0 cannot be expanded.*Revert spec\.storage\.size/);
    expect(await condition(world, 'Ready')).toMatchObject({ status: 'False', reason: 'VolumeNotExpandable' });

    expect(await resize(world, '1023Mi')).toContain('spec.storage.size must not be below status.minimumStorageSize');
    expect(await resize(world, '1024Mi')).toBeUndefined();
    await expectAtRest(world);
    expect((await world.get(PersistentVolumeClaim, 'acme-0'))?.spec).toEqual(before?.spec);
  });

  it('and that was made larger than it was asked for can be set back to what was asked for', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'fixed');
    await give(world, 'acme-0', '10Gi');
    await world.settle();
    await resize(world, '20Gi');
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'VolumeNotExpandable' });
    expect(await resize(world, '1Gi')).toBeUndefined();
    await expectAtRest(world);
  });
});

describe('a volume that was never made', () => {
  it('because its size is beyond a limit can be asked for smaller', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const limit = { type: 'PersistentVolumeClaim', max: { storage: '2Gi' } };
    const manifest = { apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'small' }, spec: { limits: [limit] } };
    await api.kubectl.ok(['create', '-n', world.namespace, '-f', '-'], manifest);
    await world.createTenant('acme', { storage: { size: '5Gi' } });
    await world.settle();
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'AdmissionDenied' });
    expect((await world.tenant('acme')).status?.minimumStorageSize).toBe('0');
    expect(await resize(world, '1Gi')).toBeUndefined();
    expect(await asked(world)).toBe('1Gi');
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'False' });
  });

  it('is not changed while it waits to be bound, and grows then', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { storage: { size: '1Gi', storageClassName: 'elastic' } });
    await world.settle();
    await resize(world, '2Gi');
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'False' });
    expect(await asked(world)).toBe('1Gi');
    await give(world, 'acme-0', '1Gi');
    await world.settle();
    expect(await asked(world)).toBe('2Gi');
  });
});
