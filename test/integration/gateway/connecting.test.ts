// The programs of docs/connecting.md, as they stand there, with a real API server, gateway and server: by each way to connect, and over what
// ends connections.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GROUP } from '../../../src/api/names.ts';
import { GATEWAY_AUDIENCE } from '../../../src/gateway/admission/reviews.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { GatewayWorld } from '../../support/gateway-world.ts';
import { PageProgram } from '../../support/page-program.ts';
import { serviceAccount } from '../../support/service-account.ts';

const PAGE = 'docs/connecting.md';
let world: GatewayWorld;
let server: CopilotServer;
/** Directories that stand for the volumes of pods. */
const directories: string[] = [];

beforeAll(async () => {
  world = await GatewayWorld.start();
  await world.createTenant('acme');
  server = await world.startServer('acme');
}, 120_000);
afterAll(async () => {
  for (const directory of directories) rmSync(directory, { recursive: true });
  await server[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** A directory of a volume, with these files. Resolves to that of the volume. */
function volume(path: string, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'copilot-operator-volume-'));
  directories.push(root);
  mkdirSync(join(root, path));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, path, name), text);
  return root;
}

/** Where the page mounts the binding Secret: that of this tenant, with an address which this machine reaches in place of the Service. */
async function mounted(tenant: string, at: { host: string; port: number }): Promise<{ SERVICE_BINDING_ROOT: string }> {
  const files = { ...(await world.secret(`${tenant}-binding`)), host: at.host, port: String(at.port) };
  return { SERVICE_BINDING_ROOT: volume('acme', files) };
}

/** A token of a ServiceAccount that may connect to the tenant. */
async function kubernetesToken(name: string, tenant: string): Promise<string> {
  const { kubectl } = world.api;
  const { namespace } = world.tenants;
  const rule = { apiGroups: [GROUP], resources: ['copilottenants'], resourceNames: [tenant], verbs: ['connect'] };
  const items = serviceAccount({ name, namespace }, [rule]);
  await kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });
  return kubectl.ok(['create', 'token', name, '-n', namespace, `--audience=${GATEWAY_AUDIENCE}`]);
}

describe.each(['chat.mjs', 'chat.py'])('%s', (name) => {
  it('goes on with its session when server and gateway are replaced', async () => {
    await using program = await PageProgram.start(PAGE, name, await mounted('acme', world.address));
    expect(await program.ask(`first of ${name}`)).toContain(`You said: first of ${name}`);

    await server.kill();
    // It is sent while there is no server, and answered when there is one.
    const second = program.ask(`second of ${name}`);
    await server.start();
    expect(await second).toContain(`You said: second of ${name}`);

    await world.replaceGateway();
    expect(await program.ask(`third of ${name}`)).toContain(`You said: third of ${name}`);
    const [last] = await world.model.requests(`third of ${name}`);
    expect(last?.roles?.filter((role) => role === 'user')).toHaveLength(3);
    expect(await program.end()).toBe(0);
  }, 180_000);

  it('connects with a Kubernetes token', async () => {
    const token = await kubernetesToken(name.replace('.', '-'), 'acme');
    const env = {
      ...(await mounted('acme', world.address)),
      TENANT: `${world.tenants.namespace}/acme`,
      TOKEN_FILE: join(volume('tokens', { gateway: token }), 'tokens/gateway'),
    };
    await using program = await PageProgram.start(PAGE, name, env);
    expect(await program.ask(`by token of ${name}`)).toContain(`You said: by token of ${name}`);
    await using stranger = await PageProgram.start(PAGE, name, { ...env, TENANT: `${world.tenants.namespace}/other` });
    expect(await stranger.ask('let me in')).toMatch(/^not answered: .*AUTHENTICATION_FAILED/);
  }, 120_000);

  it('connects to the server of a tenant with access Direct', async () => {
    const tenant = `direct-${name.replace('.', '-')}`;
    await world.createTenant(tenant, { access: 'Direct' });
    const binding = await world.secret(`${tenant}-binding`);
    await using direct = await CopilotServer.start('runtime', binding['token']);
    await using program = await PageProgram.start(PAGE, name, await mounted(tenant, direct));
    expect(await program.ask(`directly by ${name}`)).toContain(`You said: directly by ${name}`);
  }, 120_000);
});
