// Both real programs where there is no IPv4, as in the pods of a cluster with IPv6 alone. The kubelet, the Service and the operator dial the
// address of the pod.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { Pinger } from '../../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { cliVersion } from '../../support/copilot-binary.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { IPv6OnlyNetwork } from '../../support/ipv6-only.ts';
import { healthSettings, serverTarget } from '../../support/servers.ts';
import { PROJECT } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

const token = 'f3b1c0ffee';

describe.each(['cli', 'runtime'] as const)('a server (%s) without IPv4', (binary) => {
  let network: IPv6OnlyNetwork;
  beforeAll(async () => {
    network = await IPv6OnlyNetwork.open();
  });
  afterAll(() => network[Symbol.asyncDispose]());

  const startAt = (host: string) => CopilotServer.start(binary, token, [], {}, undefined, { network, host });
  /** The operator's own ping. */
  const ping = (port: number) =>
    network.run(process.execPath, [join(PROJECT, 'src/main.ts'), 'ping', `[${network.address}]:${port}`], {
      ...process.env,
      COPILOT_CONNECTION_TOKEN: token,
    });

  it('answers at its address when it listens on ::', async () => {
    await using server = await startAt('::');
    const { code, output } = ping(server.port);
    expect(output).toContain(`[${network.address}]:${server.port} answers: version ${cliVersion()}`);
    expect(code).toBe(0);
  }, 90_000);

  it('cannot be reached when it listens on 0.0.0.0', async () => {
    await using server = await startAt('0.0.0.0');
    const { code, output } = ping(server.port);
    expect(output).toContain('nothing listens on the port (ECONNREFUSED)');
    expect(code).toBe(1);
  }, 90_000);
});

it.each(['cli', 'runtime'] as const)(
  'a server (%s) at ::1 is found healthy by the pinger, and polled',
  async (binary) => {
    await using server = await CopilotServer.start(binary, token, [], {}, undefined, { host: '::1' });
    const servers = new ServerRegistry({ clock: systemClock, random: Math.random });
    const log = { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() };
    const pinger = new Pinger({ servers, log });
    const survey = new Survey({ servers, log, labelKeys: [] });
    const health = healthSettings({ intervalMs: 1000, timeoutMs: 900 });
    const target = serverTarget({ host: server.host, port: server.port, token, health });
    try {
      servers.set(target);
      await waitFor('it is polled', () => survey.get(target.key));
      await waitFor('it is Healthy', () => pinger.get(target.key).state === 'Healthy');
      expect(pinger.get(target.key)).toMatchObject({ version: cliVersion() });
      await server.kill();
      await waitFor('its end is found', () => pinger.get(target.key).state === 'Unhealthy');
      expect(pinger.get(target.key)).toMatchObject({
        reason: 'Unreachable',
        message: expect.stringContaining(`[::1]:${server.port}`) as unknown,
      });
    } finally {
      servers.close();
    }
  },
  90_000,
);
