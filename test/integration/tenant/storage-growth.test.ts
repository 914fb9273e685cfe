// Volumes that are expanded, those that cannot be, and how to revert that, with a real API server, which refuses invalid sizes.
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

/** A tenant with healthy servers, each with a volume of 1Gi. */
async function running(world: ReconcilerWorld, storageClassName: string, replicas = 1): Promise<void> {
  await world.createTenant('acme', { replicas, storage: { size: '1Gi', storageClassName } });
  await world.settle();
  for (let index = 0; index < replicas; index++) {
    await give(world, `acme-${index}`, '1Gi');
    await world.startPod('acme', index);
    await world.sync();
    await world.reconcile('acme');
    world.health.set(`${world.namespace}/acme-${index}`, { state: 'Healthy', version: '1.0', since: 0 });
  }
  await world.reconcile('acme');
  await world.settle();
}

/** A user sets the size. Resolves with the refusal of the API server, if any. */
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
const requestedSize = async (world: ReconcilerWorld, server = 'acme-0') =>
  (await world.get(PersistentVolumeClaim, server))?.spec?.resources?.requests?.['storage'];

async function versions(world: ReconcilerWorld): Promise<unknown[]> {
  const found = [
    await world.get(CopilotTenant, 'acme'),
    await world.get(PersistentVolumeClaim, 'acme-0'),
    await world.get(Deployment, 'acme-0'),
  ];
  return found.map((object) => object?.metadata.resourceVersion);
}

/** The tenant matches its spec, and further reconciles write nothing. */
async function expectSteady(world: ReconcilerWorld): Promise<void> {
  expect(await condition(world, 'Ready')).toMatchObject({ status: 'True', reason: 'ServersReady' });
  expect(await condition(world, 'Stalled')).toMatchObject({ status: 'False' });
  expect(await condition(world, 'Reconciling')).toMatchObject({ status: 'False', reason: 'UpToDate' });
  const before = await versions(world);
  await world.reconcile('acme');
  await world.settle();
  expect(await versions(world)).toEqual(before);
}

describe('a volume whose StorageClass allows expansion', () => {
  it('is expanded with the spec, and then nothing more is written', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'elastic');
    expect(await resize(world, '2Gi')).toBeUndefined();
    expect(await requestedSize(world)).toBe('2Gi');
    expect(await condition(world, 'Reconciling')).toMatchObject({
      status: 'True',
      reason: 'VolumeResizing',
      message: 'Expanding the volumes of servers: acme-0.',
    });
    await give(world, 'acme-0', '2Gi');
    await world.settle();
    expect((await world.tenant('acme')).status?.minimumStorageSize).toBe('2Gi');
    await expectSteady(world);
  });

  it('can have an expansion reverted that has not happened yet', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'elastic');
    await resize(world, '100Gi');
    expect(await requestedSize(world)).toBe('100Gi');
    expect(await resize(world, '3Gi')).toBeUndefined();
    expect(await requestedSize(world)).toBe('3Gi');
    // Kubernetes does not allow a request of exactly the capacity: the tenant then does not wait for the expansion.
    expect(await resize(world, '1Gi')).toBeUndefined();
    expect(await requestedSize(world)).toBe('3Gi');
    await expectSteady(world);
  });

  it('is never requested smaller than it is', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'elastic', 2);
    await resize(world, '4Gi');
    // One was expanded and the other not yet.
    await give(world, 'acme-1', '4Gi');
    await world.settle();
    for (const size of ['1Gi', '4095Mi', '3.9Gi']) {
      const refused = await resize(world, size);
      expect(refused).toContain('spec.storage.size');
      expect(refused).toContain('must not be below status.minimumStorageSize: volumes do not shrink');
    }
    expect([await requestedSize(world), await requestedSize(world, 'acme-1')]).toEqual(['4Gi', '4Gi']);
    for (const size of ['4096Mi', '5Gi']) expect(await resize(world, size)).toBeUndefined();
  });
});

describe('a volume whose StorageClass does not allow expansion', () => {
  it('is reported with the remedy, and after a revert the tenant is as before', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'fixed');
    const before = await world.get(PersistentVolumeClaim, 'acme-0');
    expect(await resize(world, '100Gi')).toBeUndefined();
    const stalled = await condition(world, 'Stalled');
    expect(stalled).toMatchObject({ status: 'True', reason: 'VolumeNotExpandable' });
    expect(stalled?.message).toMatch(/PersistentVolumeClaim acme-0 cannot be expanded.*Revert spec\.storage\.size/);
    expect((await condition(world, 'Ready'))?.reason).not.toBe('VolumeNotExpandable');

    expect(await resize(world, '1023Mi')).toContain('spec.storage.size must not be below status.minimumStorageSize');
    expect(await resize(world, '1024Mi')).toBeUndefined();
    await expectSteady(world);
    expect((await world.get(PersistentVolumeClaim, 'acme-0'))?.spec).toEqual(before?.spec);
  });

  it('and that was provisioned larger than requested can be reverted to the requested size', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, 'fixed');
    await give(world, 'acme-0', '10Gi');
    await world.settle();
    await resize(world, '20Gi');
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'VolumeNotExpandable' });
    expect(await resize(world, '1Gi')).toBeUndefined();
    await expectSteady(world);
  });
});

describe('a volume that was never provisioned', () => {
  it('because its size exceeds a limit can be requested smaller', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const limit = { type: 'PersistentVolumeClaim', max: { storage: '2Gi' } };
    const manifest = { apiVersion: 'v1', kind: 'LimitRange', metadata: { name: 'small' }, spec: { limits: [limit] } };
    await api.kubectl.ok(['create', '-n', world.namespace, '-f', '-'], manifest);
    await world.createTenant('acme', { storage: { size: '5Gi' } });
    await world.settle();
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'LimitRangeViolated' });
    expect((await world.tenant('acme')).status?.minimumStorageSize).toBe('0');
    expect(await resize(world, '1Gi')).toBeUndefined();
    expect(await requestedSize(world)).toBe('1Gi');
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'False' });
  });

  it('is not changed until it is bound, and then expanded', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { storage: { size: '1Gi', storageClassName: 'elastic' } });
    await world.settle();
    await resize(world, '2Gi');
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'False' });
    expect(await requestedSize(world)).toBe('1Gi');
    await give(world, 'acme-0', '1Gi');
    await world.settle();
    expect(await requestedSize(world)).toBe('2Gi');
  });
});
