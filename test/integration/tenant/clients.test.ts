// How often the number of clients is written into the status, and how late, on a real API server. What the replicas say is played, and so is the time.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { CopilotTenantStatus } from '../../../src/api/tenant.ts';
import { GatewayClients } from '../../../src/tenant/gateway-clients.ts';
import { GATEWAY_FACTS } from '../../support/gateway-rights.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(180_000);

const STEP_MS = 5_000;
const MINUTE = 60_000;

let api: TenantApi;

beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

it('is written at most twice a minute while clients come and go, and is right within a minute', async () => {
  let count = 0;
  const endpoint = { addresses: ['10.0.0.1'], conditions: { ready: true } };
  const metadata = { name: 'copilot-gateway-abcde', namespace: 'operator' };
  const slice = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, endpoints: [endpoint] };
  const clients = new GatewayClients({
    client: { listAll: () => Promise.resolve({ items: [slice] as never[], metadata: {} } as never) },
    clock: { sleep: (ms, signal) => world.clock.sleep(ms, signal), monotonic: () => world.clock.monotonic() },
    log: { warn: () => undefined, info: () => undefined },
    namespace: 'operator',
    service: 'copilot-gateway',
    ask: () => Promise.resolve({ tenants: [{ namespace: world.namespace, name: 'acme', clients: count }] }),
  });
  await using world = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway: GATEWAY_FACTS, clients });
  await world.createTenant('acme', { access: 'Gateway' });
  await world.settle();

  const stop = new AbortController();
  const asking = clients.run(stop.signal);
  const start = world.clock.monotonic();
  const writes: number[] = [];
  let seen: { version: string | undefined; status: CopilotTenantStatus | undefined } | undefined;
  const look = async (): Promise<void> => {
    const { metadata: found, status } = await world.tenant('acme');
    if (seen !== undefined && found.resourceVersion !== seen.version) writes.push(world.clock.monotonic() - start);
    seen = { version: found.resourceVersion, status };
  };
  const pass = async (): Promise<void> => {
    await world.advance(STEP_MS);
    await world.settle();
    await look();
  };

  await look();
  for (let step = 0; step < (4 * MINUTE) / STEP_MS; step += 1) {
    count += 1;
    await pass();
  }
  const inAnyMinute = writes.map((at) => writes.filter((each) => each >= at && each < at + MINUTE).length);
  expect(Math.max(...inAnyMinute)).toBeLessThanOrEqual(2);
  // Not because nothing is written.
  expect(writes.length).toBeGreaterThanOrEqual(4);

  count = 1000;
  for (let step = 0; step < MINUTE / STEP_MS; step += 1) await pass();
  expect(seen?.status?.clients).toBe(1000);
  stop.abort();
  await expect(asking).rejects.toMatchObject({ name: 'AbortError' });
});
