// A tenant on a cluster whose first family is IPv6: the API server gives IPv6 addresses to its Services, and its pods have such ones.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, Pod, Secret, Service } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(120_000);

const POD_IP = 'fd00:88::a';

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi({ flags: ['--service-cluster-ip-range=fd00:10:96::/112', '--advertise-address=::1'] });
}, 90_000);
afterAll(() => api.stop());

it('has servers that listen on ::, are dialled at their IPv6 address, and are not written again', async () => {
  await using world = await ReconcilerWorld.open(api.kubeconfig);
  await world.createTenant('acme');
  await world.settle();
  expect((await world.get(Service, 'acme-0'))?.spec?.ipFamilies).toEqual(['IPv6']);
  const made = await world.get(Deployment, 'acme-0');
  const args = made?.spec?.template.spec?.containers[0]?.args ?? [];
  expect(args.slice(args.indexOf('--host'), args.indexOf('--host') + 2)).toEqual(['--host', '::']);

  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  const pod = await world.startPod('acme', 0);
  await world.patch(Pod, pod.metadata.name, { status: { podIP: POD_IP, podIPs: [{ ip: POD_IP }] } }, 'status');
  await world.settle();
  expect(world.servers.targets.get(`${world.namespace}/acme-0`)).toMatchObject({ host: POD_IP });
  world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
  await world.reconcile('acme');
  await world.settle();
  const { status } = await world.tenant('acme');
  expect(findCondition(status?.conditions, 'Ready')?.status).toBe('True');
  // Clients are given a name, which is of any family.
  const uri = Buffer.from((await world.get(Secret, 'acme-binding'))?.data?.['uri'] ?? '', 'base64').toString();
  expect(uri).toContain(`acme-0.${world.namespace}.svc`);
  const before = (await world.get(Deployment, 'acme-0'))?.metadata.generation;
  await world.reconcile('acme');
  expect((await world.get(Deployment, 'acme-0'))?.metadata.generation).toBe(before);
  expect(before).toBe(made?.metadata.generation);
});
