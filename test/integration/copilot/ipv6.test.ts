// Both real programs where there is no IPv4, as in the pods of a cluster with IPv6 alone. The kubelet, the Service and the operator dial the
// address of the pod.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { cliVersion } from '../../support/copilot-binary.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { IPv6OnlyNetwork } from '../../support/ipv6-only.ts';
import { PROJECT } from '../../support/tenant-api.ts';

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
