import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, Pod, Service } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const CHILDREN = [Deployment, Service, PersistentVolumeClaim, Pod];

describe('a process that does not see yet that servers were removed', () => {
  it('creates nothing of them again', async () => {
    await using former = await ReconcilerWorld.open(api.kubeconfig);
    await former.createTenant('acme', { replicas: 2 });
    await former.settle();
    await using world = await ReconcilerWorld.open(api.kubeconfig, former.namespace);
    await world.settle();
    await former.patch(CopilotTenant, 'acme', { spec: { replicas: 1 } });
    await former.settle();
    expect(await former.get(Service, 'acme-1')).toBeUndefined();
    const before = [await former.get(Service, 'acme-0'), await former.get(Deployment, 'acme-0')];
    // All but the tenant.
    await world.sync(...CHILDREN);
    await world.reconcile('acme');
    expect(await world.get(Service, 'acme-1')).toBeUndefined();
    expect(await world.get(Deployment, 'acme-1')).toBeUndefined();
    expect([await world.get(Service, 'acme-0'), await world.get(Deployment, 'acme-0')]).toEqual(before);
  });

  it('creates a server that was removed by mistake', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { replicas: 1 });
    await world.settle();
    await world.client.delete(Service, world.ref('acme-0'), {
      uid: (await world.get(Service, 'acme-0'))?.metadata.uid ?? '',
    });
    await world.settle();
    expect(await world.get(Service, 'acme-0')).toBeDefined();
  });
});
