// A tenant that finds its children without an owner, over a real API server: after --cascade=orphan, and after the restore of a backup.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  ConfigMap,
  CronJob,
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Secret,
  Service,
  ServiceAccount,
} from '../../../src/kube/types/builtins.ts';
import { isControlledBy } from '../../../src/kube/types/owner.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(120_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const SPEC = { sessions: { ttl: '720h' } } as const;
const CHILDREN: readonly [ResourceType, string][] = [
  [Deployment, 'acme-0'],
  [Service, 'acme-0'],
  [ServiceAccount, 'acme-servers'],
  [NetworkPolicy, 'acme-servers'],
  [NetworkPolicy, 'acme-cleanup'],
  [PodDisruptionBudget, 'acme-servers'],
  [CronJob, 'acme-cleanup'],
  [ConfigMap, 'acme-sessions'],
  [Secret, 'acme-token'],
  [Secret, 'acme-binding'],
];

async function running(
  world: ReconcilerWorld,
  spec: Parameters<ReconcilerWorld['createTenant']>[1] = SPEC,
): Promise<void> {
  await world.createTenant('acme', spec);
  await world.settle();
  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  await serve(world);
}

/** Its server runs and answers. */
async function serve(world: ReconcilerWorld): Promise<void> {
  await world.startPod('acme', 0, {}, [{ name: 'sessions', persistentVolumeClaim: { claimName: 'acme-0' } }]);
  await world.settle();
  world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
  await world.reconcile('acme');
  await world.settle();
}

/** As `kubectl delete ct acme --cascade=orphan`, with the garbage collector's part in it. */
async function deleteOrphaning(world: ReconcilerWorld): Promise<void> {
  const { uid = '' } = (await world.tenant('acme')).metadata;
  for (const [type, name] of CHILDREN) await world.patch(type, name, { metadata: { ownerReferences: null } });
  await world.client.delete(CopilotTenant, world.ref('acme'), { uid });
  await world.sync();
  // Timestamps are whole seconds: which of two objects is older shows in the next one.
  const created = Date.parse((await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.creationTimestamp ?? '');
  await waitFor('the next second', () => Date.now() >= created + 1_000);
}

const reasonOf = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type)?.reason;
const find = async <T extends KubeObject>(world: ReconcilerWorld, type: ResourceType<T>, name: string): Promise<T> => {
  const found = await world.get(type, name);
  if (found === undefined) throw new Error(`there is no ${type.kind} ${name}`);
  return found;
};

describe('a tenant that is applied again after --cascade=orphan', () => {
  it('takes over all its children, and its server is not restarted', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const uids = new Map<string, string | undefined>();
    for (const [type, name] of CHILDREN) uids.set(`${type.kind} ${name}`, (await find(world, type, name)).metadata.uid);
    const before = await find(world, Deployment, 'acme-0');
    const token = (await find(world, Secret, 'acme-token')).data;
    await deleteOrphaning(world);
    await world.createTenant('acme', SPEC);
    await world.settle();

    const tenant = await world.tenant('acme');
    for (const [type, name] of CHILDREN) {
      const child = await find(world, type, name);
      expect([name, child.metadata.uid]).toEqual([name, uids.get(`${type.kind} ${name}`)]);
      expect([name, isControlledBy(child, tenant)]).toEqual([name, true]);
    }
    expect((await find(world, Secret, 'acme-token')).data).toEqual(token);
    const after = await find(world, Deployment, 'acme-0');
    // Its generation counts changes of annotations too.
    expect(after.spec).toEqual(before.spec);
    await world.observeDeployment('acme-0', { replicas: 1, updatedReplicas: 1 });
    await world.settle();
    // What was known of the server went with the first tenant: its pod is believed again once the Deployment has its owner.
    world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
    await world.reconcile('acme');
    await world.settle();
    expect([await reasonOf(world, 'Ready'), await reasonOf(world, 'Stalled')]).toEqual(['ServersReady', 'NotStalled']);
    expect(world.events.filter((event) => event.includes('Adopted')).map((event) => event.split(':')[0])).toEqual([
      'Normal VolumeAdopted',
      'Normal ChildrenAdopted',
    ]);
  });

  it('deletes an orphaned cleanup that its spec does not have any more, and an orphaned server', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, { ...SPEC, replicas: 2 });
    await world.patch(Deployment, 'acme-1', { metadata: { ownerReferences: null } });
    await world.patch(Service, 'acme-1', { metadata: { ownerReferences: null } });
    await deleteOrphaning(world);
    await world.createTenant('acme');
    await world.settle();
    for (const [type, name] of [
      [CronJob, 'acme-cleanup'],
      [ConfigMap, 'acme-sessions'],
      [NetworkPolicy, 'acme-cleanup'],
      [Deployment, 'acme-1'],
      [Service, 'acme-1'],
    ] as const) {
      expect([name, await world.get(type as ResourceType, name)]).toEqual([name, undefined]);
    }
    expect(await world.get(PersistentVolumeClaim, 'acme-1')).toBeDefined();
  });

  it.each<[string, (world: ReconcilerWorld) => Promise<unknown>, string]>([
    [
      'another object controls',
      (world) =>
        world.patch(Service, 'acme-0', {
          metadata: {
            ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'their-uid', controller: true }],
          },
        }),
      'Service "',
    ],
    [
      'the operator has not written',
      (world) =>
        world.patch(Service, 'acme-0', { metadata: { annotations: { 'copilot-operator.dev/applied-hash': null } } }),
      'Service "',
    ],
    [
      'holds a token that no server runs with',
      (world) => world.patch(Secret, 'acme-token', { data: { token: Buffer.from('A'.repeat(43)).toString('base64') } }),
      'Secret acme-token',
    ],
  ])('never takes over what %s', async (_, change, named) => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await deleteOrphaning(world);
    await change(world);
    await world.sync();
    const current = (): Promise<KubeObject> =>
      named.startsWith('Secret') ? find(world, Secret, 'acme-token') : find(world, Service, 'acme-0');
    const before = await current();
    await world.createTenant('acme', SPEC);
    await world.settle();
    expect(await current()).toEqual(before);
    expect(await reasonOf(world, 'Stalled')).toBe('ForeignObject');
    expect(findCondition((await world.tenant('acme')).status?.conditions, 'Stalled')?.message).toContain(named);
  });
});

describe('the restore of a backup', () => {
  /** A child as Velero creates it: without owner, UID and status, and with its own label. */
  async function restore(world: ReconcilerWorld, object: KubeObject): Promise<void> {
    const {
      uid: _uid,
      resourceVersion: _version,
      ownerReferences: _owners,
      generation: _g,
      ...metadata
    } = object.metadata;
    const { creationTimestamp: _created, managedFields: _fields, ...kept } = metadata;
    const labels = { ...kept.labels, 'velero.io/restore-name': 'r' };
    const { status: _status, ...rest } = object as KubeObject & { status?: unknown };
    const type = [...CHILDREN.map(([each]) => each), PersistentVolumeClaim].find(({ kind }) => kind === object.kind);
    await world.client.create(type as ResourceType, { ...rest, metadata: { ...kept, labels } });
  }

  it('is taken up in the order of Velero: the tenant before its Deployments', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const backup = new Map<string, KubeObject>();
    for (const [type, name] of [...CHILDREN, [PersistentVolumeClaim, 'acme-0'] as const]) {
      backup.set(`${type.kind} ${name}`, await find<KubeObject>(world, type, name));
    }
    const pods = await world.client.list(Pod, { namespace: world.namespace });
    for (const pod of pods.items) await world.removePod(pod);
    const { uid = '' } = (await world.tenant('acme')).metadata;
    await world.client.delete(CopilotTenant, world.ref('acme'), { uid });
    for (const [key, { metadata }] of backup) {
      const type = [...CHILDREN.map(([each]) => each), PersistentVolumeClaim].find(({ kind }) =>
        key.startsWith(`${kind} `),
      );
      await world.patch(type as ResourceType, metadata.name, { metadata: { finalizers: null } });
      await world.client.delete(type as ResourceType, world.ref(metadata.name), { uid: metadata.uid ?? '' });
    }
    await world.sync();

    const early = [
      'PersistentVolumeClaim acme-0',
      'ServiceAccount acme-servers',
      'Secret acme-token',
      'Service acme-0',
    ];
    for (const key of early) await restore(world, backup.get(key) as KubeObject);
    await world.createTenant('acme', SPEC);
    await world.settle();
    // Until a Deployment shows that a server was started with the token, nothing is started with it.
    expect(await reasonOf(world, 'Stalled')).toBe('ForeignObject');
    expect(await world.get(Deployment, 'acme-0')).toBeUndefined();

    await restore(world, backup.get('Deployment acme-0') as KubeObject);
    await world.settle();
    const tenant = await world.tenant('acme');
    expect(isControlledBy(await find(world, Secret, 'acme-token'), tenant)).toBe(true);
    const deployment = await find(world, Deployment, 'acme-0');
    expect(isControlledBy(deployment, tenant)).toBe(true);
    expect(deployment.spec).toEqual((backup.get('Deployment acme-0') as Deployment).spec);
    expect(await reasonOf(world, 'Stalled')).toBe('NotStalled');
  });
});

describe('a Deployment that was deleted with --cascade=orphan', () => {
  it('is created again once its ReplicaSet is orphaned, with the same template, and not before', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, {});
    const before = await find(world, Deployment, 'acme-0');
    const { name: replicaSet } = await world.replicaSetOf('acme-0');
    const { labels } = before.spec?.template.metadata ?? {};
    await world.patch(ReplicaSet, replicaSet, { metadata: { labels, annotations: before.metadata.annotations } });
    await world.client.delete(Deployment, world.ref('acme-0'), { uid: before.metadata.uid ?? '' });
    await world.settle();
    // The garbage collector may be about to delete the ReplicaSet: a second pod could start.
    expect(await world.get(Deployment, 'acme-0')).toBeUndefined();
    expect(findCondition((await world.tenant('acme')).status?.conditions, 'Reconciling')?.message).toContain(
      'until its previous pod',
    );

    await world.patch(ReplicaSet, replicaSet, { metadata: { ownerReferences: null } });
    await world.advance(11_000);
    await world.settle();
    const after = await find(world, Deployment, 'acme-0');
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    expect(after.spec).toEqual(before.spec);
  });
});
