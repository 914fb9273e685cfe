// The command `gateway` with each coordination store: what it checks at its start, and that it connects to none of them needlessly.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../../support/copilot-server.ts';
import { GatewayProcess } from '../../../support/gateway-process.ts';
import { Scrape } from '../../../support/scrape.ts';
import { PROJECT, startTenantApi, type TenantApi } from '../../../support/tenant-api.ts';
import { run } from '../../../support/tools.ts';

let api: TenantApi;
let nobody: Server;
let connections = 0;
beforeAll(async () => {
  api = await startTenantApi();
  nobody = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await once(nobody.listen(0, '127.0.0.1'), 'listening');
}, 120_000);
afterAll(async () => {
  nobody.close();
  await api.stop();
});

const redisUrl = () => `--redis-url=redis://127.0.0.1:${(nobody.address() as AddressInfo).port}`;

describe('the gateway', () => {
  it.each([
    ['kubernetes', () => []],
    ['memory', () => []],
    ['redis', () => [redisUrl()]],
  ])('starts and stops with %s, of which nothing is asked', async (type, more) => {
    const [listen, metrics] = [await freePort(), await freePort()];
    const flags = [
      `--listen-port=${listen}`,
      `--metrics-port=${metrics}`,
      '--drain-timeout=1s',
      `--coordination=${type}`,
    ];
    // Of the kubeconfig, too: a namespace that exists, for the Lease of a gateway with a store in memory.
    const gateway = await GatewayProcess.start(api.kubeconfig, [...flags, ...more()], 'default');
    try {
      const response = await fetch(`http://127.0.0.1:${metrics}/metrics`);
      const scrape = new Scrape(await response.text());
      expect(scrape.value('copilot_coordination_available')).toBe(1);
      expect(scrape.value('copilot_coordination_operations_total', { operation: 'read', result: 'Done' })).toBe(0);
      expect(await gateway.stop()).toBe(0);
      expect(connections).toBe(0);
    } finally {
      await gateway.kill();
    }
  });

  it('does not start with a store in memory beside another one, and does when that has ended', async () => {
    const flags = ['--drain-timeout=1s', '--coordination=memory'];
    const first = await GatewayProcess.start(
      api.kubeconfig,
      [`--listen-port=${await freePort()}`, ...flags],
      'default',
    );
    try {
      const args = [join(PROJECT, 'src/main.ts'), 'gateway', `--kubeconfig=${api.kubeconfig}`, '--listen-port=1'];
      const { code, stdout } = await run(process.execPath, [...args, ...flags]);
      expect(code).not.toBe(0);
      expect(stdout).toContain('--coordination=memory is for a gateway with one replica');
      expect(stdout).toContain('kubectl scale --replicas=1');
      expect(await first.stop()).toBe(0);
    } finally {
      await first.kill();
    }
    const next = await GatewayProcess.start(api.kubeconfig, [`--listen-port=${await freePort()}`, ...flags], 'default');
    try {
      expect(await next.stop()).toBe(0);
    } finally {
      await next.kill();
    }
  });

  it.each([
    ['a password file that is not there', ['--redis-password-file=/nonexistent'], '--redis-password-file=/nonexistent'],
    ['an authority that is none', ['--redis-ca-file=/dev/null'], 'requires a --redis-url with rediss'],
    [
      'replicas',
      ['--coordination=memory', '--peer-port=4324'],
      '--coordination=memory is for a gateway with one replica',
    ],
  ])('does not start with %s', async (_what, more, message) => {
    const isRedis = !more.some((flag) => flag.startsWith('--coordination'));
    const flags = [...(isRedis ? ['--coordination=redis', redisUrl()] : []), ...more];
    const args = [
      join(PROJECT, 'src/main.ts'),
      'gateway',
      `--kubeconfig=${api.kubeconfig}`,
      '--listen-port=1',
      ...flags,
    ];
    const { code, stderr } = await run(process.execPath, args);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });
});
