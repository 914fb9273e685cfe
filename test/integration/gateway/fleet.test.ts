// The gateway's fleet on a real API server, with the gateway's own rights and no others; the tenant reconciler makes what it reads.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { pino } from 'pino';
import { addFleet } from '../../../src/gateway/routing/add-fleet.ts';
import type { Fleet } from '../../../src/gateway/model.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { Manager } from '../../../src/kube/runtime/manager.ts';
import { Metrics } from '../../../src/kube/runtime/metrics.ts';
import { Pod, Secret } from '../../../src/kube/types/builtins.ts';
import { credentialHash } from '../../../src/resources/binding.ts';
import { serverLabels } from '../../../src/resources/names.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { GATEWAY_FACTS as gateway, gatewayKubeconfig } from '../../support/gateway-rights.ts';
import { connect } from '../../support/kube.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

let api: TenantApi;
/** With the token of the gateway's ServiceAccount. */
let kubeconfig: string;
beforeAll(async () => {
  api = await startTenantApi();
  kubeconfig = await gatewayKubeconfig(api);
}, 90_000);
afterAll(() => api.stop());

/** A running fleet of these namespaces. */
async function startFleet(...namespaces: string[]): Promise<{ fleet: Fleet } & AsyncDisposable> {
  const { client, transport } = connect(kubeconfig);
  const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });
  const random = Math.random;
  const manager = new Manager({ client, clock: systemClock, random, log, metrics: new Metrics(), namespaces });
  const fleet = addFleet(manager);
  const stop = new AbortController();
  const running = manager.run(stop.signal);
  await waitFor('the fleet is synced', () => fleet.isSynced);
  return {
    fleet,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      expect(await running).toEqual({ reason: 'stopped' });
      await transport.close();
    },
  };
}

/** The operator's side, with a tenant that runs one server. */
async function runningTenant(replicas = 1): Promise<ReconcilerWorld & AsyncDisposable> {
  const world = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway });
  await world.createTenant('acme', { replicas });
  await world.settle();
  await world.startPod('acme', 0);
  await world.settle();
  return world;
}

async function secretValue(world: ReconcilerWorld, name: string): Promise<string> {
  const { data } = await world.client.get(Secret, world.ref(name));
  return Buffer.from(data?.['token'] ?? '', 'base64').toString();
}
const keysOf = (world: ReconcilerWorld, fleet: Fleet) =>
  (fleet.find(world.ref('acme'))?.servers ?? []).map(({ key }) => key);

describe('the fleet', () => {
  it('has a tenant with its credential, and its server with the token that the gateway may read', async () => {
    await using world = await runningTenant();
    await using gate = await startFleet(world.namespace);
    const found = gate.fleet.find(world.ref('acme'));
    const credential = (await secretValue(world, 'acme-binding')).split(':')[1] ?? '';
    expect(found).toMatchObject({ access: 'Gateway', credentials: [credentialHash(credential)] });
    const [server] = found?.servers ?? [];
    expect(server).toMatchObject({ key: `${world.namespace}/acme-0`, host: '10.0.0.1', port: 4321 });
    expect(await server?.token()).toBe(await secretValue(world, 'acme-token'));
  });

  it('learns of tenants, servers and rotations while it runs', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway });
    await using gate = await startFleet(world.namespace);
    const { fleet } = gate;
    expect(fleet.find(world.ref('acme'))).toBeUndefined();
    const changed: string[] = [];
    fleet.onChange(({ name }) => void changed.push(name));
    await world.createTenant('acme');
    await world.settle();
    await waitFor('the tenant is known', () => fleet.find(world.ref('acme'))?.access === 'Gateway');
    const first = await world.startPod('acme', 0);
    await waitFor('its server is known', () => keysOf(world, fleet).length === 1);
    const before = fleet.find(world.ref('acme'));
    expect(before?.servers[0]?.podUID).toBe(first.metadata.uid);

    await world.removePod(first);
    await waitFor('the server is gone', () => keysOf(world, fleet).length === 0);
    const second = await world.startPod('acme', 0);
    await waitFor('the next pod serves', () => keysOf(world, fleet).length === 1);
    expect(fleet.find(world.ref('acme'))?.servers[0]?.podUID).toBe(second.metadata.uid);

    const { metadata } = await world.client.get(Secret, world.ref('acme-binding'));
    await world.client.delete(Secret, world.ref('acme-binding'), { uid: metadata.uid ?? '' });
    await world.advance(60_000);
    await waitFor('both credentials are valid', () => fleet.find(world.ref('acme'))?.credentials.length === 2);
    expect(new Set(changed)).toEqual(new Set(['acme']));
    expect(before?.credentials).toHaveLength(1);
  });

  it('does not believe a pod that only has the labels of a server', async () => {
    await using world = await runningTenant(2);
    await using gate = await startFleet(world.namespace);
    const labels = serverLabels('acme', 1);
    const impostor = await world.client.create(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'impostor', namespace: world.namespace, labels },
      spec: { containers: [{ name: 'server', image: 'example.com/copilot-cli:1' }] },
    });
    const status = { phase: 'Running', podIP: '10.9.9.9', podIPs: [{ ip: '10.9.9.9' }] };
    const ready = { ...status, conditions: [{ type: 'Ready', status: 'True' }] };
    await world.patch(Pod, impostor.metadata.name, { status: ready }, 'status');
    // The real one comes after it: when that is known, the other was.
    const real = await world.startPod('acme', 1);
    await waitFor('the second server is known', () => keysOf(world, gate.fleet).length === 2);
    const found = gate.fleet.find(world.ref('acme'))?.servers.map(({ podUID, host }) => [podUID, host]);
    expect(found?.[1]).toEqual([real.metadata.uid, '10.0.0.1']);
    expect(JSON.stringify(found)).not.toContain('10.9.9.9');
  });

  it('forgets a tenant that is deleted, and knows none of another namespace', async () => {
    await using world = await runningTenant();
    await using other = await runningTenant();
    await using gate = await startFleet(world.namespace);
    expect(gate.fleet.find(other.ref('acme'))).toBeUndefined();
    const { metadata } = await world.tenant('acme');
    await world.client.delete(CopilotTenant, world.ref('acme'), { uid: metadata.uid ?? '' });
    await waitFor('it is not found', () => gate.fleet.find(world.ref('acme')) === undefined);
  });

  it('cannot read the token of a tenant with access Direct: nobody is to come this way', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway });
    await world.createTenant('acme', { access: 'Direct' });
    await world.settle();
    await using own = connect(kubeconfig);
    await expect(own.client.get(Secret, world.ref('acme-token'))).rejects.toThrow('403 Forbidden');
    await using gate = await startFleet(world.namespace);
    expect(gate.fleet.find(world.ref('acme'))).toMatchObject({ access: 'Direct', servers: [] });
  });
});
