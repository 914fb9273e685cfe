// A terminating namespace. There is no namespace controller to empty it, so the tenant in it is still reconciled.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Namespace, Service } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

let api: TenantApi;
let proxy: FaultProxy;
beforeAll(async () => {
  api = await startTenantApi();
  proxy = await api.proxy();
}, 90_000);
afterAll(() => api.stop());

const condition = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);

/** Deletes the namespace, and waits until nothing can be created in it. */
async function terminate({ client, namespace }: ReconcilerWorld): Promise<void> {
  const { metadata } = await client.get(Namespace, { namespace: '', name: namespace });
  await client.delete(Namespace, { namespace: '', name: namespace }, { uid: metadata.uid ?? '' });
  const args = ['create', 'configmap', 'probe', '-n', namespace, '--dry-run=server'];
  await waitFor('nothing can be created in the namespace', async () => (await api.kubectl.try(args)).code !== 0);
}

describe('a tenant in a namespace that is being deleted', () => {
  it('reports that when a child is missing, and is not reconciled more often', async () => {
    await using world = await ReconcilerWorld.open(api.server.kubeconfig({ server: proxy.url }));
    await world.createTenant('acme');
    await world.settle();
    await terminate(world);
    const { metadata } = (await world.get(Service, 'acme-0')) ?? {};
    await world.client.delete(Service, world.ref('acme-0'), { uid: metadata?.uid ?? '' });
    const before = await world.reconciles();
    await world.settle();

    const message = 'Service acme-0 cannot be created: the namespace is being deleted, and the tenant with it.';
    const reason = 'NamespaceTerminating';
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason, message });
    expect(await condition(world, 'Ready')).toMatchObject({ status: 'False', reason, message });
    expect(world.events.filter((event) => event === `Warning ${reason}`)).toHaveLength(1);
    expect((await world.reconciles()) - before).toBeLessThanOrEqual(2);
    expect(world.clock.nextTimerIn).toBeGreaterThan(30_000);

    // The next reconcile retries the child, and writes nothing else.
    const { resourceVersion } = (await world.tenant('acme')).metadata;
    const seen = proxy.journal.length;
    await world.reconcile('acme');
    const writes = proxy.journal
      .slice(seen)
      .filter(({ verb }) => ['create', 'patch', 'update', 'delete'].includes(verb));
    expect(writes.map(({ verb, resource, status }) => [verb, resource, status])).toEqual([['create', 'services', 403]]);
    expect((await world.tenant('acme')).metadata.resourceVersion).toBe(resourceVersion);
  });
});
