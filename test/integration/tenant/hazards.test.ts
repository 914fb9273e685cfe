import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { Deployment, PersistentVolumeClaim, Pod, Secret, Service } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { restartOf, TemplateAnnotation } from '../../../src/tenant/deployments.ts';

jest.setTimeout(60_000);

let api: TenantApi;
let proxy: FaultProxy;
beforeAll(async () => {
  api = await startTenantApi();
  proxy = await api.proxy();
}, 90_000);
afterAll(() => api.stop());

/** A tenant with all children and healthy servers. */
async function running(world: ReconcilerWorld, spec: Parameters<ReconcilerWorld['createTenant']>[1] = {}) {
  await world.createTenant('acme', spec);
  await world.settle();
  const pods: Pod[] = [];
  for (let index = 0; index < (spec.replicas ?? 1); index++) {
    await world.patch(PersistentVolumeClaim, `acme-${index}`, { status: { phase: 'Bound' } }, 'status');
    pods.push(await world.startPod('acme', index));
    await world.sync();
    await world.reconcile('acme');
    world.health.set(`${world.namespace}/acme-${index}`, { state: 'Healthy', version: '1.0', since: 0 });
  }
  await world.reconcile('acme');
  await world.settle();
  return pods;
}

const condition = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);
const ready = async (world: ReconcilerWorld) => (await condition(world, 'Ready'))?.reason;
const replicas = async (world: ReconcilerWorld) => (await world.get(Deployment, 'acme-0'))?.spec?.replicas;

describe('a tenant with current caches and a working API server', () => {
  it('becomes ready, and then nothing more is written', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    expect(await ready(world)).toBe('ServersReady');
    const before = (await world.tenant('acme')).metadata.resourceVersion;
    await world.reconcile('acme');
    expect((await world.tenant('acme')).metadata.resourceVersion).toBe(before);
  });
});

describe('a server and its pods', () => {
  it('starts again after a suspension although one of its evicted pods still exists', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const [evicted] = await running(world);
    await world.endPod(evicted as Pod);
    const second = await world.startPod('acme', 0);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await world.settle();
    await world.removePod(second);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    expect(await replicas(world)).toBe(0);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await world.settle();
    expect(await replicas(world)).toBe(1);
  });

  it('keeps an evicted pod while it says why the server does not run, and deletes it once another one runs', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const [evicted] = await running(world);
    const name = evicted?.metadata.name ?? '';
    await world.endPod(evicted as Pod);
    await world.settle();
    expect(await world.get(Pod, name)).toBeDefined();
    expect(await ready(world)).toBe('ContainerCrashed');
    await world.startPod('acme', 0);
    await world.settle();
    expect(await world.get(Pod, name)).toBeUndefined();
    expect(world.events.filter((event) => event === 'Warning ServerEvicted')).toHaveLength(1);
  });

  it('does not delete an ended pod that only has its labels', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const foreign = await world.startPod('acme', 0, { ownerReferences: [] });
    await world.endPod(foreign);
    await world.settle();
    expect(await world.get(Pod, foreign.metadata.name)).toBeDefined();
    expect(world.events).not.toContain('Warning ServerEvicted');
    expect(await ready(world)).toBe('ServersReady');
  });

  it('returns to one pod when a user scales its Deployment to two, and is not restarted for it', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const before = await world.get(Deployment, 'acme-0');
    await world.patch(Deployment, 'acme-0', { spec: { replicas: 2 } });
    await world.startPod('acme', 0);
    await world.settle();
    expect(await replicas(world)).toBe(1);
    expect((await world.get(Deployment, 'acme-0'))?.spec?.template).toEqual(before?.spec?.template);
  });

  it('is found again when a user removes the labels of its Deployment', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const labels = Object.fromEntries(
      Object.keys((await world.get(Deployment, 'acme-0'))?.metadata.labels ?? {}).map((label) => [label, null]),
    );
    await world.patch(Deployment, 'acme-0', { metadata: { labels } });
    await world.settle();
    expect((await world.get(Deployment, 'acme-0'))?.metadata.labels).toMatchObject({
      'copilot-operator.dev/tenant': 'acme',
    });
    expect(await ready(world)).toBe('ServersReady');
  });

  it('is restarted once, even if the cache does not show the restart yet', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const since = world.clock.now();
    world.health.set(`${world.namespace}/acme-0`, {
      state: 'Unhealthy',
      reason: 'Timeout',
      message: 'no answer',
      since,
    });
    await world.reconcile('acme');
    const restart = restartOf(await world.get(Deployment, 'acme-0'));
    expect(restart?.attempt).toBe(1);
    await world.sync(CopilotTenant);
    await world.clock.advance(5_000);
    await world.reconcile('acme');
    expect(restartOf(await world.get(Deployment, 'acme-0'))).toEqual(restart);
  });

  it('does not start beside its previous pod when it is resumed before the cache shows the suspension', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await world.sync(CopilotTenant);
    await world.reconcile('acme');
    expect(await replicas(world)).toBe(0);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await world.sync(CopilotTenant);
    await world.reconcile('acme');
    expect(await replicas(world)).toBe(0);
  });

  it('whose template a user edits has it reverted without a second pod beside the one that stops', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const [pod] = await running(world);
    const image = async () => (await world.get(Deployment, 'acme-0'))?.spec?.template.spec?.containers[0]?.image;
    const container = { name: 'server', image: 'example.com/evil:1' };
    const contentType = 'application/strategic-merge-patch+json';
    await world.client.patch(
      Deployment,
      world.ref('acme-0'),
      { spec: { template: { spec: { containers: [container] } } } },
      { contentType, fieldManager: 'other-writer' },
    );
    // The Deployment controller observes it: its ReplicaSet is scaled to zero, and the pod is stopping.
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    expect(await image()).toBe('example.com/copilot-cli:1');
    expect(await replicas(world)).toBe(0);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    expect(await replicas(world)).toBe(0);
    await world.removePod(pod as Pod);
    await world.settle();
    expect(await replicas(world)).toBe(1);
    expect(await image()).toBe('example.com/copilot-cli:1');
  });
});

describe('a pod with the labels of a server', () => {
  /** What its Service selects by; of the other labels of children it has none. */
  const labels = {
    'copilot-operator.dev/tenant': 'acme',
    'copilot-operator.dev/server': 'acme-0',
    'app.kubernetes.io/component': 'server',
  };
  const dialled = (world: ReconcilerWorld) => world.servers.targets.get(`${world.namespace}/acme-0`)?.podUID;

  it('that its Deployment did not create is not dialled, but reported by name, and the tenant stays Ready', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const [own] = await running(world);
    const mimic = await world.startPod('acme', 0, { name: 'mimic', labels, ownerReferences: [] });
    await world.settle();
    expect(dialled(world)).toBe(own?.metadata.uid);
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'LookAlikePod' });
    expect((await condition(world, 'Stalled'))?.message).toContain('Pod mimic (it has no controller)');
    expect(world.events).toContain('Warning LookAlikePod');
    expect(await ready(world)).toBe('ServersReady');

    await world.removePod(mimic);
    await world.settle();
    expect((await condition(world, 'Stalled'))?.status).toBe('False');
    expect(dialled(world)).toBe(own?.metadata.uid);
  });

  it('that was created before the server’s own is not dialled either, and the server starts beside it', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme');
    await world.settle();
    await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
    await world.startPod('acme', 0, { name: 'mimic', labels, ownerReferences: [] });
    await world.settle();
    expect(dialled(world)).toBeUndefined();
    const own = await world.startPod('acme', 0);
    await world.settle();
    expect(dialled(world)).toBe(own.metadata.uid);
  });

  it('that claims to be of its ReplicaSet is not dialled as long as that has two pods', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const [own] = await running(world);
    const forged = await world.startPod('acme', 0);
    await world.settle();
    expect(dialled(world)).toBeUndefined();
    await world.removePod(forged);
    await world.settle();
    expect(dialled(world)).toBe(own?.metadata.uid);
  });
});

describe('a rotated connection token', () => {
  it('reaches one server at a time, although the others reject it meanwhile', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const pods = await running(world, { replicas: 3 });
    const servers = ['acme-0', 'acme-1', 'acme-2'];
    const hashes = () =>
      Promise.all(
        servers.map(async (server) => {
          const template = (await world.get(Deployment, server))?.spec?.template;
          return template?.metadata?.annotations?.[TemplateAnnotation.credentials];
        }),
      );
    const registeredTokens = () =>
      servers.map((server) => world.servers.targets.get(`${world.namespace}/${server}`)?.token);
    const [previous, hash] = [registeredTokens()[0], (await hashes())[0]];
    const token = Buffer.alloc(32, 'rotated').toString('base64url');
    await world.patch(Secret, 'acme-token', { data: { token: Buffer.from(token).toString('base64') } });
    await world.reconcile('acme');
    const [next] = await hashes();
    expect(next).not.toBe(hash);
    expect(await hashes()).toEqual([next, hash, hash]);
    expect(registeredTokens().slice(1)).toEqual([previous, previous]);

    // An operator that starts now only has the new token.
    const refused = { state: 'Unhealthy', reason: 'AuthFailed', message: 'it refused the token', since: 0 } as const;
    for (const server of servers.slice(1)) world.health.set(`${world.namespace}/${server}`, refused);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.removePod(pods[0] as Pod);
    await world.settle();
    await world.startPod('acme', 0);
    await world.settle();
    expect(await hashes()).toEqual([next, hash, hash]);
    expect(registeredTokens()[0]).toBe(token);
    world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
    await world.reconcile('acme');
    expect(await hashes()).toEqual([next, next, hash]);
  });
});

describe('a deleted Secret of the connection token', () => {
  it('is created with another token, which the binding has too, and an event reports it once', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const tokens = () =>
      Promise.all(['acme-token', 'acme-binding'].map(async (name) => (await world.get(Secret, name))?.data?.['token']));
    const hash = async () =>
      (await world.get(Deployment, 'acme-0'))?.spec?.template.metadata?.annotations?.[TemplateAnnotation.credentials];
    const [leaked] = await tokens();
    const before = await hash();
    const rotations = () => world.events.filter((event) => event === 'Normal TokenRotated').length;
    expect(rotations()).toBe(0);
    const { uid = '' } = (await world.get(Secret, 'acme-token'))?.metadata ?? {};
    await world.client.delete(Secret, world.ref('acme-token'), { uid });
    await world.reconcile('acme');
    const [token, bound] = await tokens();
    expect(token).toBeDefined();
    expect(token).not.toBe(leaked);
    expect(bound).toBe(token);
    expect(await hash()).not.toBe(before);
    await world.settle();
    await world.reconcile('acme');
    expect(rotations()).toBe(1);
    expect(await tokens()).toEqual([token, token]);
  });
});

describe('the API key of a provider', () => {
  it('leaves the binding Secret when tenants may not refer to its Secret any more', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig, undefined, {
      requireSecretLabel: { key: 'models' },
    });
    const data = { key: Buffer.from('sk-copied').toString('base64') };
    const metadata = { name: 'provider', namespace: world.namespace, labels: { models: 'yes' } };
    await world.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, data });
    const provider = { baseUrl: 'https://models.example.com/v1', model: 'large' };
    const apiKeySecretRef = { name: 'provider', key: 'key' };
    await running(world, { model: { provider: { ...provider, apiKeySecretRef } } });
    const bound = async () => (await world.get(Secret, 'acme-binding'))?.data ?? {};
    expect((await bound())['model-provider-api-key']).toBe(data.key);
    const { token } = await bound();

    await world.patch(Secret, 'provider', { metadata: { labels: { models: null } } });
    await world.reconcile('acme');
    expect((await condition(world, 'ModelConfigured'))?.reason).toBe('SecretNotAllowed');
    expect(await bound()).not.toHaveProperty('model-provider-api-key');
    expect(await bound()).toMatchObject({ token });
    const keys = (await world.get(Secret, 'acme-binding'))?.metadata.managedFields?.flatMap(({ fieldsV1 }) =>
      JSON.stringify(fieldsV1),
    );
    expect(keys?.join()).not.toContain('model-provider-api-key');

    await world.patch(Secret, 'provider', { metadata: { labels: { models: 'yes' } } });
    await world.reconcile('acme');
    expect((await bound())['model-provider-api-key']).toBe(data.key);
  });
});

describe('a recreated tenant', () => {
  it('polls until the Secrets of the previous one are deleted, because they are not watched', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const { uid = '' } = (await world.tenant('acme')).metadata;
    await world.client.delete(CopilotTenant, world.ref('acme'), { uid });
    await world.createTenant('acme');
    await world.settle();
    expect(world.clock.nextTimerIn).toBeLessThanOrEqual(5_000);
  });
});

describe('two operators during a hand-over', () => {
  it('agree on the token of the first one', async () => {
    await using world = await ReconcilerWorld.open(api.server.kubeconfig({ server: proxy.url }));
    await using other = await ReconcilerWorld.open(api.kubeconfig, world.namespace);
    await world.createTenant('acme');
    let token: unknown;
    // By now this operator has read that there is no token, and generated one.
    const first = async (): Promise<void> => {
      await other.settle();
      token = (await other.get(Secret, 'acme-token'))?.data;
    };
    proxy.inject({ verb: 'create', resource: 'secrets' }, { kind: 'first', do: first });
    await world.settle();
    await other.settle();
    expect(token).toBeDefined();
    expect((await world.get(Secret, 'acme-token'))?.data).toEqual(token);
    expect((await world.get(Deployment, 'acme-0'))?.metadata.generation).toBe(1);
  });
});

describe('volumes', () => {
  it('are not deleted because a late cache does not show that their server is desired', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { replicas: 1, storage: { reclaimPolicy: 'Delete' } });
    await world.settle();
    // Another replica of the operator has scaled it up; this one takes over, and its cache does not show that yet.
    await world.patch(CopilotTenant, 'acme', { spec: { replicas: 2 } });
    await using previous = await ReconcilerWorld.open(api.kubeconfig, world.namespace);
    await previous.settle();
    const before = await world.get(PersistentVolumeClaim, 'acme-1');
    expect(before).toBeDefined();
    await world.sync(PersistentVolumeClaim, Deployment, Service);
    await world.reconcile('acme');
    const after = await world.get(PersistentVolumeClaim, 'acme-1');
    expect(after?.metadata).toMatchObject({ uid: before?.metadata.uid });
    expect(after?.metadata.deletionTimestamp).toBeUndefined();
    expect(await world.get(Deployment, 'acme-1')).toBeDefined();
  });

  it('are not reported as lost because a user removed their labels', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const { uid } = (await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata ?? {};
    const labels = Object.fromEntries(
      Object.keys((await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.labels ?? {}).map((name) => [
        name,
        null,
      ]),
    );
    await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { labels } });
    await world.settle();
    expect(await ready(world)).toBe('ServersReady');
    expect((await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata).toMatchObject({
      uid,
      labels: { 'copilot-operator.dev/tenant': 'acme' },
    });
  });

  it('are reported as unreadable when their labels were removed and reads are forbidden, and none is created in their place', async () => {
    await using world = await ReconcilerWorld.open(api.server.kubeconfig({ server: proxy.url }));
    await running(world);
    const before = await world.get(PersistentVolumeClaim, 'acme-0');
    await world.patch(PersistentVolumeClaim, 'acme-0', {
      metadata: { labels: { 'copilot-operator.dev/tenant': null } },
    });
    const message = 'persistentvolumeclaims "acme-0" is forbidden: User "operator" cannot get resource';
    proxy.inject(
      { verb: 'get', resource: 'persistentvolumeclaims' },
      { kind: 'respond', status: 403, reason: 'Forbidden', message },
      { times: 1000 },
    );
    await world.settle();
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'Forbidden' });
    expect((await condition(world, 'Stalled'))?.message).toContain('cannot get resource');
    proxy.clearFaults();
    await world.reconcile('acme');
    await world.settle();
    expect(await ready(world)).toBe('ServersReady');
    expect((await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.uid).toBe(before?.metadata.uid);
  });

  it('that are deleted by policy after scaling down are no loss when the tenant is scaled up again meanwhile', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, { replicas: 2, storage: { reclaimPolicy: 'Delete' } });
    await world.patch(PersistentVolumeClaim, 'acme-1', { metadata: { finalizers: ['kubernetes.io/pvc-protection'] } });
    await world.patch(CopilotTenant, 'acme', { spec: { replicas: 1 } });
    await world.settle();
    expect((await world.get(PersistentVolumeClaim, 'acme-1'))?.metadata.deletionTimestamp).toBeDefined();
    await world.patch(CopilotTenant, 'acme', { spec: { replicas: 2 } });
    await world.settle();
    const { status } = await world.tenant('acme');
    expect(findCondition(status?.conditions, 'Stalled')).toMatchObject({ status: 'False' });
    expect(findCondition(status?.conditions, 'Reconciling')).toMatchObject({ reason: 'WaitingForDeletion' });
    await world.patch(PersistentVolumeClaim, 'acme-1', { metadata: { finalizers: null } });
    await world.settle();
    expect((await world.get(PersistentVolumeClaim, 'acme-1'))?.metadata.deletionTimestamp).toBeUndefined();
  });
});

describe('volumes with the reclaim policy Delete', () => {
  it('remain when the tenant is scaled to zero, and are deleted when it is scaled down to fewer servers', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world, { replicas: 2, storage: { reclaimPolicy: 'Delete' } });
    const uidOf = async (claim: string) => (await world.get(PersistentVolumeClaim, claim))?.metadata.uid;
    const before = [await uidOf('acme-0'), await uidOf('acme-1')];
    await world.patch(CopilotTenant, 'acme', { spec: { replicas: 0 } });
    await world.settle();
    expect(await world.get(Deployment, 'acme-0')).toBeUndefined();
    expect([await uidOf('acme-0'), await uidOf('acme-1')]).toEqual(before);
    await world.patch(CopilotTenant, 'acme', { spec: { replicas: 1 } });
    await world.settle();
    const { deletionTimestamp } = (await world.get(PersistentVolumeClaim, 'acme-1'))?.metadata ?? {
      deletionTimestamp: 'gone',
    };
    expect([await uidOf('acme-0'), deletionTimestamp]).toEqual([before[0], expect.any(String)]);
  });
});

describe('what requeues a tenant', () => {
  it('its own status does not: it would bypass the back-off of a failing tenant', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const before = await world.reconciles();
    await world.patch(CopilotTenant, 'acme', { status: { readyReplicas: 7 } }, 'status');
    await world.settle();
    expect(await world.reconciles()).toBe(before);
    await world.patch(CopilotTenant, 'acme', {
      metadata: { annotations: { 'copilot-operator.dev/accept-data-loss': 'x' } },
    });
    await world.settle();
    expect(await world.reconciles()).toBeGreaterThan(before);
  });
});
