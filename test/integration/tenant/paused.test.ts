// A paused tenant, over a real API server: what its status says, and that nothing else is written.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, Secret, Service } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
let proxy: FaultProxy;
beforeAll(async () => {
  api = await startTenantApi();
  proxy = await api.proxy();
}, 90_000);
afterAll(() => api.stop());

const open = () => ReconcilerWorld.open(api.server.kubeconfig({ server: proxy.url }));
const condition = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);
const pause = (world: ReconcilerWorld, value: string | null) =>
  world.patch(CopilotTenant, 'acme', { metadata: { annotations: { 'copilot-operator.dev/paused': value } } });
const WRITES = new Set(['create', 'update', 'patch', 'delete']);

async function running(world: ReconcilerWorld): Promise<void> {
  await world.createTenant('acme', { replicas: 2 });
  await world.settle();
  for (const index of [0, 1]) {
    await world.patch(PersistentVolumeClaim, `acme-${index}`, { status: { phase: 'Bound' } }, 'status');
    await world.startPod('acme', index);
    await world.settle();
    world.health.set(`${world.namespace}/acme-${index}`, { state: 'Healthy', version: '1.0', since: 0 });
  }
  await world.reconcile('acme');
  await world.settle();
}

describe('a paused tenant', () => {
  it('is observed and reported, and nothing else is written; without the annotation everything is made good at once', async () => {
    await using world = await open();
    await running(world);
    const hang = { state: 'Unhealthy', reason: 'Timeout', message: 'no answer', since: world.clock.now() } as const;
    await pause(world, 'true');
    await world.settle();
    expect(await condition(world, 'Reconciling')).toMatchObject({ status: 'False', reason: 'Paused' });
    expect(await condition(world, 'Ready')).toMatchObject({
      status: 'True',
      message: '2 of 2 servers are ready. The tenant is paused.',
    });
    expect(world.events.some((event) => event.startsWith('Normal Paused'))).toBe(true);

    await world.patch(CopilotTenant, 'acme', { spec: { server: { image: 'example.com/copilot-cli:2' }, replicas: 1 } });
    await world.patch(Service, 'acme-0', { spec: { selector: { stolen: 'yes' } } });
    const service = await world.get(Service, 'acme-1');
    await world.client.delete(Service, world.ref('acme-1'), { uid: service?.metadata.uid ?? '' });
    const token = await world.get(Secret, 'acme-token');
    await world.client.delete(Secret, world.ref('acme-token'), { uid: token?.metadata.uid ?? '' });
    world.health.set(`${world.namespace}/acme-0`, hang);
    const deployment = await world.get(Deployment, 'acme-0');
    const before = proxy.journal.length;
    await world.settle();
    await world.advance(10 * 60_000);
    const written = proxy.journal
      .slice(before)
      .filter(({ verb, resource }) => WRITES.has(verb) && !resource.startsWith('copilottenants'));
    // The test's own writes go through the proxy too: updating caches needs none.
    expect(written).toEqual([]);
    expect(await world.get(Deployment, 'acme-0')).toEqual(deployment);
    expect(await condition(world, 'Ready')).toMatchObject({ status: 'False', reason: 'ServersUnhealthy' });
    const { metadata, status } = await world.tenant('acme');
    // The spec that is reported is the one that was applied.
    expect([metadata.generation, status?.observedGeneration]).toEqual([2, 1]);

    world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
    await pause(world, null);
    await world.settle();
    expect((await world.get(Deployment, 'acme-0'))?.spec?.template.spec?.containers[0]?.image).toBe(
      'example.com/copilot-cli:2',
    );
    expect(await world.get(Deployment, 'acme-1')).toBeUndefined();
    expect((await world.get(Service, 'acme-0'))?.spec?.selector).not.toHaveProperty('stolen');
    expect(await world.get(Secret, 'acme-token')).toBeDefined();
    expect((await world.tenant('acme')).status?.observedGeneration).toBe(2);
    expect((await condition(world, 'Reconciling'))?.reason).not.toBe('Paused');
  });

  it('that is new gets no children until it is not paused any more', async () => {
    await using world = await open();
    await world.client.create(CopilotTenant, {
      apiVersion: 'copilot-operator.dev/v1alpha1',
      kind: 'CopilotTenant',
      metadata: {
        name: 'acme',
        namespace: world.namespace,
        annotations: { 'copilot-operator.dev/paused': 'true' },
      },
      spec: {},
    } as unknown as CopilotTenant);
    await world.settle();
    expect(await condition(world, 'Reconciling')).toMatchObject({ status: 'False', reason: 'Paused' });
    expect(await world.get(Deployment, 'acme-0')).toBeUndefined();
    expect(world.servers.targets.size).toBe(0);
    await pause(world, null);
    await world.settle();
    expect(await world.get(Deployment, 'acme-0')).toBeDefined();
  });
});
