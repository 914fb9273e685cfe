// An application from the binding Secret to its answer: the operator's reconciler makes the tenant, the gateway is a process with its own
// rights, and the server is the real one. Only the kubelet is played.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { approveAll } from '@github/copilot-sdk';
import { randomBytes, randomUUID } from 'node:crypto';
import { API_VERSION, COPILOT_SESSION, SERVER_PORT, STAMP_SECRET } from '../../../src/api/names.ts';
import { stampSecret } from '../../../src/commands/operator/stamp-secret.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { Pod, Secret } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { chat, withClient, type Binding } from '../../support/chat.ts';
import { CopilotServer, freePort } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { GATEWAY_FACTS as facts, GATEWAY_NAMESPACE, gatewayKubeconfig } from '../../support/gateway-rights.ts';
import { TestModel } from '../../support/model.ts';
import { clientTool } from '../../support/relay-bench.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

let api: TenantApi;
let model: TestModel;
let world: ReconcilerWorld & AsyncDisposable;
let gateway: GatewayProcess;
let port: number;
/** Ends what the operator does beside its reconciles. */
const stop = new AbortController();
let operating: Promise<void>;

beforeAll(async () => {
  api = await startTenantApi();
  model = await TestModel.start();
  world = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway: facts });
  port = await freePort();
  const kubeconfig = await gatewayKubeconfig(api);
  const log = { info: () => undefined, warn: () => undefined };
  const { client } = world;
  const signer = stampSecret({ client, clock: systemClock, log, namespace: GATEWAY_NAMESPACE, randomBytes });
  operating = signer.run(stop.signal, stop.signal);
  gateway = await GatewayProcess.start(kubeconfig, [`--listen-port=${port}`, '--drain-timeout=0s']);
}, 120_000);
afterAll(async () => {
  stop.abort();
  await operating;
  await gateway.kill();
  await world[Symbol.asyncDispose]();
  model[Symbol.dispose]();
  await api.stop();
});

async function secretValue(name: string): Promise<string> {
  const { data } = await world.client.get(Secret, world.ref(name));
  return Buffer.from(data?.['token'] ?? '', 'base64').toString();
}

/** The server of the tenant as a process on this machine, and its pod with that address. */
async function startServer(tenant: string): Promise<CopilotServer> {
  const token = await secretValue(`${tenant}-token`);
  const server = await CopilotServer.start('runtime', token, [], {}, SERVER_PORT);
  const pod = await world.startPod(tenant, 0);
  await world.patch(
    Pod,
    pod.metadata.name,
    { status: { podIP: server.host, podIPs: [{ ip: server.host }] } },
    'status',
  );
  await world.settle();
  return server;
}

/** A provider of a tenant, with its key in a new Secret. */
async function providerWith(secret: string, key: string) {
  const metadata = { name: secret, namespace: world.namespace };
  await world.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, ...login(key) });
  const { baseUrl = '' } = model.bind({ host: '', port: 0 }, '').provider ?? {};
  return { baseUrl, model: 'large', apiKeySecretRef: { name: secret } };
}
const login = (key: string) => ({ data: { 'api-key': Buffer.from(key).toString('base64') } });

/** By which model and key a prompt was answered. */
const keys = async (prompt: string) =>
  (await model.requests(prompt)).map(({ model: name, headers }) => [name, headers['authorization']]);

const binding = (token: string) => model.bind({ host: '127.0.0.1', port }, token);

describe('an application', () => {
  it('chats with the token of its binding Secret, goes on after the pod was replaced, and with the next token', async () => {
    await world.createTenant('acme');
    await world.settle();
    const server = await startServer('acme');
    const first = await secretValue('acme-binding');
    // The gateway learns of the tenant and its pod by watches of its own.
    const { answer, sessionId } = await waitFor('the first answer', () => chat(binding(first), { prompt: 'hello' }), {
      withinMs: 30_000,
    });
    expect(answer).toContain('You said: hello');

    await server.kill();
    await server.start();
    const again = await waitFor('an answer of the next process', () =>
      chat(binding(first), { prompt: 'again', resume: sessionId }),
    );
    expect(again.answer).toContain('You said: again');

    const { metadata } = await world.client.get(Secret, world.ref('acme-binding'));
    await world.client.delete(Secret, world.ref('acme-binding'), { uid: metadata.uid ?? '' });
    await world.advance(60_000);
    const second = await secretValue('acme-binding');
    expect(second).not.toBe(first);
    await waitFor('the next token', () => chat(binding(second), { prompt: 'new' }));
    expect((await chat(binding(first), { prompt: 'old' })).answer).toContain('You said: old');
    await server[Symbol.asyncDispose]();
  }, 120_000);

  it('of a Shared tenant finds the sessions of its own user, and those that a CopilotSession shares with it', async () => {
    const { client } = world;
    await world.createTenant('together', { isolation: 'Shared' });
    await world.settle();
    await using _server = await startServer('together');
    const token = await secretValue('together-binding');
    const as = (user: string) => binding(token.replace(':', `/${user}:`));
    const first = () => chat(as('alice'), { prompt: 'hello', sessionId: 'of-alice' });
    expect((await waitFor('the first answer', first, { withinMs: 60_000 })).answer).toContain('You said: hello');
    await expect(chat(binding(token), { prompt: 'x' })).rejects.toThrow('AUTHENTICATION_FAILED');
    const bobs = () => chat(as('bob'), { prompt: 'by bob', resume: 'of-alice' });
    await expect(bobs()).rejects.toThrow('Session not found: of-alice');
    const session = (name: string, spec: object) => ({
      apiVersion: API_VERSION,
      kind: COPILOT_SESSION.kind,
      metadata: { name, namespace: world.namespace },
      spec: { tenantRef: { name: 'together' }, ...spec },
    });
    await client.create(
      CopilotSession,
      session('of-alice', { owner: 'alice', participants: ['bob'] }) as CopilotSession,
    );
    expect((await waitFor('the answer to a participant', bobs)).answer).toContain('You said: by bob');
    await client.create(CopilotSession, session('of-carol', { owner: 'carol' }) as CopilotSession);
    const taking = async () => {
      await expect(chat(as('bob'), { prompt: 'x', sessionId: 'of-carol' })).rejects.toThrow('in use or reserved');
      return true;
    };
    await waitFor('the id is reserved', taking);
    const { data } = await client.get(Secret, { namespace: GATEWAY_NAMESPACE, name: STAMP_SECRET });
    expect(gateway.output).not.toContain(data?.['key']);
  }, 180_000);

  it('chats by the login of its tenant, which only the gateway reads, and by the next one once the Secret has it', async () => {
    const provider = await providerWith('login', 'sk-first');
    await world.createTenant('initech', { model: { provider } });
    await world.settle();
    await using server = await startServer('initech');
    expect(server.port).toBe(SERVER_PORT);
    const bound = { host: '127.0.0.1', port, token: await secretValue('initech-binding') };
    await waitFor('the first answer', () => chat(bound, { prompt: 'by the tenant' }), { withinMs: 30_000 });
    expect(await keys('by the tenant')).toEqual([['large', 'Bearer sk-first']]);
    await withClient(bound, async (client) => {
      const session = await client.createSession({ onPermissionRequest: approveAll });
      await world.patch(Secret, 'login', login('sk-second'));
      const isNext = async () => {
        const prompt = randomUUID();
        await session.sendAndWait({ prompt });
        return (await keys(prompt))[0]?.[1] === 'Bearer sk-second';
      };
      await waitFor('the live session has the next key', isNext, { withinMs: 90_000, everyMs: 500 });
    });
    for (const secret of ['sk-first', 'sk-second']) expect(gateway.output).not.toContain(secret);
  }, 180_000);

  it('of a Shared tenant chats by its login, has an agent without tools of the server, and finds no session of another user', async () => {
    const provider = await providerWith('login-of-all', 'sk-of-all');
    await world.createTenant('umbrella', { isolation: 'Shared', model: { provider } });
    await world.settle();
    await using _server = await startServer('umbrella');
    const bound = await secretValue('umbrella-binding');
    const as = (user: string): Binding => ({ host: '127.0.0.1', port, token: bound.replace(':', `/${user}:`) });
    const tools = [clientTool('lookup', () => 'found')];
    const asked = async (prompt: string) => {
      await withClient(as('alice'), async (alice) => {
        const session = await alice.createSession({ onPermissionRequest: approveAll, tools, sessionId: 'hers' });
        await session.sendAndWait({ prompt });
      });
      return keys(prompt);
    };
    const sent = await waitFor('the first answer', () => asked('by alice'), { withinMs: 60_000 });
    expect(sent).toEqual([['large', 'Bearer sk-of-all']]);
    expect((await model.requests('by alice')).map(({ tools: offered }) => offered)).toEqual([['lookup']]);
    await withClient(as('bob'), async (bob) => {
      expect(await bob.listSessions()).toEqual([]);
      const resuming = bob.resumeSession('hers', { onPermissionRequest: approveAll });
      await expect(resuming).rejects.toThrow('Session not found: hers');
    });
    expect(gateway.output).not.toContain('sk-of-all');
  }, 180_000);

  it('is not admitted with the token of the server, nor to another tenant', async () => {
    await world.createTenant('globex');
    await world.settle();
    const token = await secretValue('globex-token');
    await expect(chat(binding(token), { prompt: 'x' })).rejects.toThrow('AUTHENTICATION_FAILED');
    const foreign = (await secretValue('globex-binding')).replace('globex', 'acme');
    await expect(chat(binding(foreign), { prompt: 'x' })).rejects.toThrow('AUTHENTICATION_FAILED');
    for (const secret of [token, foreign.split(':')[1] ?? '']) expect(gateway.output).not.toContain(secret);
  }, 60_000);
});
