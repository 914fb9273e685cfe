// The command `gateway` as two processes with --peer-port, with the rights of the chart and no others.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Lease, Secret } from '../../../src/kube/types/builtins.ts';
import { newKeySecret, PEER_KEYS } from '../../../src/resources/key-secret.ts';
import { freePort } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { GATEWAY_NAMESPACE, gatewayKubeconfig } from '../../support/gateway-rights.ts';
import { connect } from '../../support/kube.ts';
import { Scrape } from '../../support/scrape.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

let api: TenantApi;
let admin: ReturnType<typeof connect>;
let kubeconfig: string;
const running: GatewayProcess[] = [];

beforeAll(async () => {
  api = await startTenantApi();
  admin = connect(api.kubeconfig);
  kubeconfig = await gatewayKubeconfig(api);
  await admin.client.create(Secret, newKeySecret(PEER_KEYS, GATEWAY_NAMESPACE, randomBytes));
}, 120_000);
afterAll(async () => {
  await Promise.all(running.map((gateway) => gateway.kill()));
  await admin.transport.close();
  await api.stop();
});

/** Resolves to the process, and to how many peers it knows. */
async function start() {
  const [clients, peers, metrics, health] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const gateway = await GatewayProcess.start(kubeconfig, [
    `--listen-port=${clients}`,
    `--peer-port=${peers}`,
    `--metrics-port=${metrics}`,
    `--health-port=${health}`,
    '--drain-timeout=0s',
  ]);
  running.push(gateway);
  await waitFor('it has joined', async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).ok);
  const known = async (): Promise<number> =>
    new Scrape(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()).value('copilot_gateway_peers');
  return { gateway, known };
}

async function leases(): Promise<number> {
  const { items } = await admin.client.listAll(Lease, { namespace: GATEWAY_NAMESPACE });
  return items.length;
}

it('find each other, and notice when one stops or is killed', async () => {
  const [first, second, third] = [await start(), await start(), await start()];
  for (const { known } of [first, second, third]) {
    await waitFor('it knows both others', async () => (await known()) === 2);
  }
  expect(await leases()).toBe(3);
  expect(await third.gateway.stop()).toBe(0);
  await waitFor('the one that has stopped is gone', async () => (await first.known()) === 1, { withinMs: 5_000 });
  expect(await leases()).toBe(2);
  await second.gateway.kill();
  await waitFor('the one that was killed is gone', async () => (await first.known()) === 0, { withinMs: 30_000 });
  await waitFor('its Lease is deleted', async () => (await leases()) === 1);
}, 120_000);
