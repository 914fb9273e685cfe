// Servers that share a volume, over a real API server: their children, and that nothing but a user deletes the volume.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { ConfigMap, CronJob, Deployment, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { publicGrantKeys } from '../../../src/resources/grant-keys.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { type OperatorFlags, ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { GATEWAY, SHARED_STORAGE } from '../../support/tenants.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const KEY = { id: 'one', key: Buffer.alloc(32, 1) };
const open = (flags: OperatorFlags = {}) =>
  ReconcilerWorld.open(api.kubeconfig, undefined, { gateway: GATEWAY, grantKeys: { all: [KEY] }, ...flags });

const condition = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);
async function names<T extends KubeObject>(world: ReconcilerWorld, type: ResourceType<T>): Promise<string[]> {
  const { items } = await world.client.listAll(type, { namespace: world.namespace });
  return items.map(({ metadata }) => metadata.name).toSorted();
}
const bind = (world: ReconcilerWorld, accessModes = ['ReadWriteMany']) =>
  world.patch(
    PersistentVolumeClaim,
    'acme-shared',
    { status: { phase: 'Bound', accessModes, capacity: { storage: '1Gi' } } },
    'status',
  );

/** A tenant with healthy servers on one volume. */
async function running(world: ReconcilerWorld, spec: CopilotTenantSpecInput = {}): Promise<void> {
  const replicas = spec.replicas ?? 2;
  await world.createTenant('acme', { ...SHARED_STORAGE, ...spec, replicas });
  await world.settle();
  await bind(world);
  for (let index = 0; index < replicas; index++) {
    await world.startPod('acme', index);
    await world.sync();
    await world.reconcile('acme');
    world.health.set(`${world.namespace}/acme-${index}`, { state: 'Healthy', version: '1.0', since: 0 });
  }
  await world.reconcile('acme');
  await world.settle();
}

describe('servers that share a volume', () => {
  it('have one claim, and each a Deployment that mounts it and has a guard', async () => {
    await using world = await open();
    await running(world);
    expect(await names(world, PersistentVolumeClaim)).toEqual(['acme-shared']);
    expect(await names(world, Deployment)).toEqual(['acme-0', 'acme-1']);
    const { spec } = await world.client.get(Deployment, world.ref('acme-1'));
    expect(spec?.template.spec?.initContainers).toMatchObject([{ name: 'guard', restartPolicy: 'Always' }]);
    expect(spec?.template.spec?.volumes).toContainEqual(
      expect.objectContaining({ persistentVolumeClaim: { claimName: 'acme-shared' } }),
    );
    expect(await condition(world, 'Ready')).toMatchObject({ status: 'True', reason: 'ServersReady' });
    const { status } = await world.tenant('acme');
    expect(status).toMatchObject({ access: 'Gateway', serversReady: '2/2', volumeServer: 'acme-0' });
    // Each knows that it has it, so the loss of the claim is noticed.
    const uid = (await world.get(PersistentVolumeClaim, 'acme-shared'))?.metadata.uid;
    expect(status?.servers?.map(({ volumeUID }) => volumeUID)).toEqual([uid, uid]);
  });

  it('write nothing in the steady state', async () => {
    await using world = await open();
    await running(world);
    const versions = async () => {
      const tenant = await world.client.get(CopilotTenant, world.ref('acme'));
      const claim = await world.get(PersistentVolumeClaim, 'acme-shared');
      const keys = await world.get(ConfigMap, 'acme-guard');
      const server = await world.get(Deployment, 'acme-0');
      return [tenant, claim, keys, server].map((object) => object?.metadata.resourceVersion);
    };
    const before = await versions();
    await world.reconcile('acme');
    await world.settle();
    expect(await versions()).toEqual(before);
  });

  it('have guards that know the public keys only, and a rotated one restarts no server', async () => {
    const keys = [KEY];
    await using world = await open({
      grantKeys: {
        get all() {
          return [...keys];
        },
      },
    });
    await running(world);
    const pem = async () => (await world.get(ConfigMap, 'acme-guard'))?.data?.['grant-keys.pem'];
    expect(await pem()).toBe(publicGrantKeys([KEY]));
    const before = await world.client.get(Deployment, world.ref('acme-0'));
    keys.unshift({ id: 'two', key: Buffer.alloc(32, 2) });
    await world.reconcile('acme');
    await world.settle();
    expect(await pem()).toBe(publicGrantKeys(keys));
    const after = await world.client.get(Deployment, world.ref('acme-0'));
    expect(after.metadata.generation).toBe(before.metadata.generation);
  });

  it('do not start before the keys are known', async () => {
    const keys: (typeof KEY)[] = [];
    await using world = await open({
      grantKeys: {
        get all() {
          return keys;
        },
      },
    });
    await world.createTenant('acme', { ...SHARED_STORAGE, replicas: 2 });
    await world.settle();
    expect(await names(world, Deployment)).toEqual([]);
    expect((await condition(world, 'Reconciling'))?.message).toContain('Secret copilot-gateway-grants');
    keys.push(KEY);
    await world.advance(15_000);
    await world.settle();
    expect(await names(world, Deployment)).toEqual(['acme-0', 'acme-1']);
  });

  it('do not start on a volume that is not ReadWriteMany, and say what to do', async () => {
    await using world = await open();
    await world.createTenant('acme', { ...SHARED_STORAGE, replicas: 1, suspend: true });
    await world.settle();
    await bind(world, ['ReadWriteOnce']);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await world.settle();
    const { spec } = (await world.get(Deployment, 'acme-0')) ?? {};
    expect(spec?.replicas ?? 0).toBe(0);
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'VolumeNotShared' });
    expect((await condition(world, 'Ready'))?.reason).toBe('VolumeNotShared');
  });

  it('are not started without a gateway', async () => {
    await using world = await open({ gateway: undefined, grantKeys: { all: [] } });
    await world.createTenant('acme', SHARED_STORAGE);
    await world.settle();
    expect(await names(world, Deployment)).toEqual([]);
    expect(await condition(world, 'Stalled')).toMatchObject({ reason: 'GatewayNotInstalled' });
  });

  it('keep the image of their guards when the operator is upgraded', async () => {
    await using world = await open();
    await running(world, { replicas: 1 });
    const imageOf = async () =>
      (await world.client.get(Deployment, world.ref('acme-0'))).spec?.template.spec?.initContainers?.[0]?.image;
    await using next = await ReconcilerWorld.open(api.kubeconfig, world.namespace, {
      gateway: GATEWAY,
      grantKeys: { all: [KEY] },
      operatorImage: 'example.com/operator:2',
      maxConcurrentRollouts: 0,
    });
    next.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
    await next.fill();
    await next.settle();
    expect(await imageOf()).toBe('example.com/operator:1');
  });
});

describe('the volume that servers share', () => {
  const scale = async (world: ReconcilerWorld, replicas: number) => {
    await world.patch(CopilotTenant, 'acme', { spec: { replicas } });
    await world.settle();
  };

  it.each(['Retain', 'Delete'] as const)('stays whatever number of servers is left, with policy %s', async (policy) => {
    await using world = await open();
    await running(world, { storage: { ...SHARED_STORAGE.storage, reclaimPolicy: policy } });
    const before = await world.get(PersistentVolumeClaim, 'acme-shared');
    for (const replicas of [1, 0, 2]) {
      await scale(world, replicas);
      const claim = await world.get(PersistentVolumeClaim, 'acme-shared');
      expect(claim?.metadata.uid).toBe(before?.metadata.uid);
      expect(claim?.metadata.deletionTimestamp).toBeUndefined();
    }
    expect(await names(world, PersistentVolumeClaim)).toEqual(['acme-shared']);
  });

  it('follows the reclaim policy with the tenant, also when that changes while there is no server', async () => {
    await using world = await open();
    await running(world);
    const owners = async () => (await world.get(PersistentVolumeClaim, 'acme-shared'))?.metadata.ownerReferences ?? [];
    expect(await owners()).toEqual([]);
    await scale(world, 0);
    await world.patch(CopilotTenant, 'acme', { spec: { storage: { reclaimPolicy: 'Delete' } } });
    await world.settle();
    expect(await owners()).toMatchObject([{ kind: 'CopilotTenant', name: 'acme', controller: true }]);
  });

  it('is not made anew for a server that is added after it was lost', async () => {
    await using world = await open();
    await running(world, { replicas: 1 });
    const lost = await world.get(PersistentVolumeClaim, 'acme-shared');
    const noFinalizers = { metadata: { finalizers: null } };
    await world.patch(PersistentVolumeClaim, 'acme-shared', noFinalizers);
    await world.client.delete(PersistentVolumeClaim, world.ref('acme-shared'), { uid: lost?.metadata.uid ?? '' });
    await scale(world, 2);
    expect(await names(world, PersistentVolumeClaim)).toEqual([]);
    const stalled = await condition(world, 'Stalled');
    expect(stalled?.reason).toBe('DataLost');
    expect(stalled?.message).toContain('PersistentVolumeClaim acme-shared');
    const accepted = { 'copilot-operator.dev/accept-data-loss': lost?.metadata.uid };
    await world.patch(CopilotTenant, 'acme', { metadata: { annotations: accepted } });
    await world.settle();
    expect(await names(world, PersistentVolumeClaim)).toEqual(['acme-shared']);
  });

  it('is used again by the next tenant of the name, and those of servers with one each are left alone', async () => {
    await using world = await open();
    await world.client.create(PersistentVolumeClaim, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: 'acme-0',
        namespace: world.namespace,
        labels: {
          'app.kubernetes.io/managed-by': 'copilot-operator',
          'app.kubernetes.io/name': 'copilot-server',
          'copilot-operator.dev/tenant': 'acme',
        },
      },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
    await running(world, { replicas: 1 });
    expect(await names(world, PersistentVolumeClaim)).toEqual(['acme-0', 'acme-shared']);
    await scale(world, 0);
    expect(await names(world, PersistentVolumeClaim)).toEqual(['acme-0', 'acme-shared']);
  });
});

describe('the cleanup of a volume that servers share', () => {
  it('starts no run while servers run, and works on the volume when none does', async () => {
    await using world = await open();
    await running(world, { sessions: { ttl: '1h' } });
    expect(await condition(world, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'ThroughOneServer' });
    expect((await world.get(CronJob, 'acme-cleanup'))?.spec?.suspend).toBe(true);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await world.settle();
    const template = (await world.get(CronJob, 'acme-cleanup'))?.spec?.jobTemplate.spec?.template.spec;
    const args = template?.containers[0]?.args ?? [];
    expect(args.filter((arg) => arg.startsWith('--server='))).toEqual([]);
  });
});
