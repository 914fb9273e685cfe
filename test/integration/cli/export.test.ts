// `copilot-operator export aci`, against a real API server; and its probes, against the real servers.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { parse } from 'yaml';
import { aciGroup } from '../../../src/commands/export/aci-group.ts';
import type { ContainerGroup } from '../../../src/commands/export/aci-model.ts';
import { pingProbe, portProbe } from '../../../src/commands/export/aci-probes.ts';
import { azureFaults } from '../../support/azure-models.ts';
import { CopilotServer, freePort } from '../../support/copilot-server.ts';
import { startTenantApi, tenantManifest, type TenantApi } from '../../support/tenant-api.ts';
import { sampleTenant, TOKEN } from '../../support/tenants.ts';
import { run, toolPath } from '../../support/tools.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');

describe('export aci', () => {
  let api: TenantApi;
  beforeAll(async () => {
    api = await startTenantApi();
    const server = { image: 'registry.example.com/team/copilot-cli:1' };
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('acme', { replicas: 2, server }));
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('young', {}));
    await api.kubectl.ok(['create', 'secret', 'generic', 'acme-token', `--from-literal=token=${TOKEN}`]);
  });
  afterAll(() => api.stop());

  const exported = (...args: string[]) =>
    run(process.execPath, [MAIN, 'export', 'aci', ...args, '--kubeconfig', api.kubeconfig]);

  it('prints a group that Azure takes once its open values are filled in, by the commands in it', async () => {
    const { code, stdout, stderr } = await exported('default/acme', '--server=1');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain(TOKEN);
    // What a user does: the line that exports the token, and envsubst.
    const token = /^# {3}(export SECRET_COPILOT_CONNECTION_TOKEN=.*)$/m.exec(stdout)?.[1] ?? '';
    const names = /envsubst ('[^']*')/.exec(stdout)?.[1] ?? '';
    const kubectl = `kubectl() { '${toolPath('kubectl')}' --kubeconfig='${api.kubeconfig}' "$@"; }`;
    const script = `${kubectl}; export ACI_LOCATION=westeurope; ${token}; envsubst ${names}`;
    const filled = await run('bash', ['-c', script], { input: stdout });
    expect(filled.stderr).toBe('');
    const group = parse(filled.stdout) as ContainerGroup;
    expect(azureFaults(group)).toEqual([]);
    expect(group).toMatchObject({ name: 'acme-1', location: 'westeurope' });
    const [container] = group.properties.containers;
    expect(container?.properties.image).toBe('registry.example.com/team/copilot-cli:1');
    expect(container?.properties.environmentVariables).toContainEqual({
      name: 'COPILOT_CONNECTION_TOKEN',
      secureValue: TOKEN,
    });
  });

  it('takes the image of the running server of a tenant that names none', async () => {
    const { code, stdout, stderr } = await exported('default/young');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('server young-0 was never started, so its image is not known');
    const labels = { app: 'young' };
    const containers = [{ name: 'server', image: 'registry.example.com/of-the-operator:2' }];
    await api.kubectl.ok(['create', '-f', '-'], {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'young-0', namespace: 'default' },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    });
    expect((await exported('default/young')).stdout).toContain('image: "registry.example.com/of-the-operator:2"');
    expect((await exported('default/young', '--image=other:1')).stdout).toContain('image: "other:1"');
  });

  it.each([
    [['default/nobody'], 'there is no CopilotTenant default/nobody'],
    [['default/acme', '--server=2'], '--server=2: CopilotTenant default/acme has 2 servers, from 0 on'],
  ])('says in one sentence why %j cannot be printed', async (args, sentence) => {
    expect(await exported(...args)).toEqual({ code: 1, stdout: '', stderr: `copilot-operator: ${sentence}\n` });
  });
});

describe.each(['cli', 'runtime'] as const)('the probes of a real %s', (binary) => {
  const probe = async ({ command: [program = '', ...args] }: { command: readonly string[] }) =>
    (await run(program, args)).code;

  it('succeed while it answers, and only then', async () => {
    await using server = await CopilotServer.start(binary, TOKEN);
    expect(await probe(pingProbe(server.port, 5))).toBe(0);
    expect(await probe(portProbe(server.port))).toBe(0);
    // It hangs: its port is still open.
    await server.freeze();
    expect(await probe(pingProbe(server.port, 1))).not.toBe(0);
    expect(await probe(portProbe(server.port))).toBe(0);
    server.thaw();
    expect(await probe(pingProbe(server.port, 5))).toBe(0);
  });

  it('fail where nobody listens', async () => {
    const port = await freePort();
    expect(await probe(pingProbe(port, 1))).not.toBe(0);
    expect(await probe(portProbe(port))).not.toBe(0);
  });

  it('start with the command of the group', async () => {
    const tenant = sampleTenant({ server: { binary } });
    const [container] = aciGroup({ tenant, index: 0, image: 'any' }).group.properties.containers;
    const [program, ...options] = container?.properties.command ?? [];
    expect(program).toBe(binary === 'cli' ? 'copilot' : 'copilot-runtime');
    // Address and port are this test's: all that comes behind them is the group's.
    await using server = await CopilotServer.start(binary, TOKEN, options.slice(5));
    expect(await probe(pingProbe(server.port, 5))).toBe(0);
  });
});
