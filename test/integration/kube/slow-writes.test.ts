// Writes that take seconds each, as a slow admission webhook makes them: they hold up their own reconcile, and nothing else.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deployment, Namespace } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { connect } from '../../support/kube.ts';
import { startOperator, type OperatorProcess } from '../../support/operator.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(180_000);

/** How many requests of one reconcile are under way at once: src/kube/client/transport.ts. */
const AT_ONCE = 4;

let api: TenantApi;
let users: ReturnType<typeof connect>;
let proxy: FaultProxy;
let operator: OperatorProcess;

beforeAll(async () => {
  api = await startTenantApi();
  users = connect(api.kubeconfig);
  proxy = await api.proxy();
  for (const name of ['slow', 'fast', 'crowd']) {
    await users.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  operator = await startOperator(api.server.kubeconfig({ server: proxy.url, namespace: 'default' }), {
    args: ['--leader-elect=true'],
  });
});
afterAll(async () => {
  proxy?.clearFaults();
  await operator?.stop();
  await users?.transport.close();
  await api?.stop();
});

function createTenant(namespace: string, name: string, replicas: number): Promise<CopilotTenant> {
  const tenant = {
    apiVersion: 'copilot-operator.dev/v1alpha1',
    kind: 'CopilotTenant',
    metadata: { namespace, name },
    spec: { replicas },
  };
  return users.client.create(CopilotTenant, tenant as CopilotTenant);
}

/** Every creation in the namespace takes so long. */
function slowDown(namespace: string, ms: number): void {
  proxy.inject({ verb: 'create', namespace }, { kind: 'first', do: () => sleep(ms) }, { times: 10_000 });
}

const openCreations = (namespace: string): number =>
  proxy.requests({ verb: 'create', namespace }).filter(({ open }) => open).length;

it('a tenant of 32 servers holds up no other tenant', async () => {
  slowDown('slow', 3_000);
  await createTenant('slow', 'big', 32);
  await waitFor(
    'its servers are being created',
    () => proxy.requests({ verb: 'create', namespace: 'slow', resource: 'services' }).length > 0,
    {
      withinMs: 30_000,
    },
  );
  await createTenant('fast', 'small', 1);
  let most = 0;
  await waitFor(
    'the other one has its server',
    () => {
      most = Math.max(most, openCreations('slow'));
      return users.client.get(Deployment, { namespace: 'fast', name: 'small-0' });
    },
    { withinMs: 30_000 },
  );
  // 32 servers of several objects each, four at a time and 3 s each, take minutes: most of them were still to come.
  const services = proxy.requests({ verb: 'create', namespace: 'slow', resource: 'services' });
  expect(services.filter(({ open }) => !open).length).toBeLessThan(32);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(AT_ONCE);
  proxy.clearFaults();
});

it('the Lease is renewed on time while slow writes take every connection', async () => {
  slowDown('crowd', 12_000);
  for (let n = 0; n < 10; n++) await createTenant('crowd', `tenant-${n}`, 4);
  // Eight reconciles at once, with four requests each: all 32 connections.
  await waitFor('every connection is taken', () => openCreations('crowd') >= 32, { withinMs: 60_000 });
  const since = performance.now();
  await waitFor(
    '10 s have passed, more than a lease lasts without a renewal',
    () => performance.now() - since > 10_000,
    {
      withinMs: 15_000,
    },
  );
  const renewals = proxy
    .requests({ verb: 'update', resource: 'leases' })
    .map(({ at }) => at)
    .filter((at) => at > since);
  const gaps = renewals.slice(1).map((at, i) => at - (renewals[i] ?? at));
  expect(renewals.length).toBeGreaterThanOrEqual(4);
  // Every 2 s; the leader stops writing 10 s after the last one.
  expect(Math.max(...gaps)).toBeLessThan(4_000);
  expect(operator.errors()).toEqual([]);
  proxy.clearFaults();
});
