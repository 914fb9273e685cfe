// An application from the binding Secret to its answer: the operator's reconciler makes the tenant, the gateway is a process with its own
// rights, and the server is the real one. Only the kubelet is played.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { approveAll } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { API_VERSION, COPILOT_SESSION, SERVER_PORT, STAMP_SECRET } from '../../../src/api/names.ts';
import { Secret } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import type { Loot } from '../../support/agent.ts';
import { chat, withClient, type Binding } from '../../support/chat.ts';
import { GatewayWorld } from '../../support/gateway-world.ts';
import { GATEWAY_NAMESPACE } from '../../support/gateway-rights.ts';
import { clientTool } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

let world: GatewayWorld;

beforeAll(async () => {
  world = await GatewayWorld.start();
}, 120_000);
afterAll(() => world[Symbol.asyncDispose]());

/** A provider of a tenant, with its key in a new Secret. */
async function providerWith(secret: string, key: string) {
  const { client, namespace } = world.tenants;
  const metadata = { name: secret, namespace };
  await client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, ...login(key) });
  const { baseUrl = '' } = world.model.bind({ host: '', port: 0 }, '').provider ?? {};
  return { baseUrl, model: 'large', apiKeySecretRef: { name: secret } };
}
const login = (key: string) => ({ data: { 'api-key': Buffer.from(key).toString('base64') } });

/** By which model and key a prompt was answered. */
const keys = async (prompt: string) =>
  (await world.model.requests(prompt)).map(({ model: name, headers }) => [name, headers['authorization']]);

describe('an application', () => {
  it('chats with the token of its binding Secret, goes on after the pod was replaced, and with the next token', async () => {
    await world.createTenant('acme');
    await using server = await world.startServer('acme');
    const first = await world.token('acme-binding');
    // The gateway learns of the tenant and its pod by watches of its own.
    const { answer, sessionId } = await waitFor(
      'the first answer',
      () => chat(world.binding(first), { prompt: 'hello' }),
      {
        withinMs: 30_000,
      },
    );
    expect(answer).toContain('You said: hello');

    await server.kill();
    await server.start();
    const again = await waitFor('an answer of the next process', () =>
      chat(world.binding(first), { prompt: 'again', resume: sessionId }),
    );
    expect(again.answer).toContain('You said: again');

    const { tenants } = world;
    const { metadata } = await tenants.client.get(Secret, tenants.ref('acme-binding'));
    await tenants.client.delete(Secret, tenants.ref('acme-binding'), { uid: metadata.uid ?? '' });
    await tenants.advance(60_000);
    const second = await world.token('acme-binding');
    expect(second).not.toBe(first);
    await waitFor('the next token', () => chat(world.binding(second), { prompt: 'new' }));
    expect((await chat(world.binding(first), { prompt: 'old' })).answer).toContain('You said: old');
  }, 120_000);

  it('of a Shared tenant finds the sessions of its own user, and those that a CopilotSession shares with it', async () => {
    const { client, namespace } = world.tenants;
    await world.createTenant('together', { isolation: 'Shared' });
    await using _server = await world.startServer('together');
    const token = await world.token('together-binding');
    const as = (user: string) => world.binding(token.replace(':', `/${user}:`));
    const first = () => chat(as('alice'), { prompt: 'hello', sessionId: 'of-alice' });
    expect((await waitFor('the first answer', first, { withinMs: 60_000 })).answer).toContain('You said: hello');
    await expect(chat(world.binding(token), { prompt: 'x' })).rejects.toThrow('AUTHENTICATION_FAILED');
    const bobs = () => chat(as('bob'), { prompt: 'by bob', resume: 'of-alice' });
    await expect(bobs()).rejects.toThrow('Session not found: of-alice');
    const session = (name: string, spec: object) => ({
      apiVersion: API_VERSION,
      kind: COPILOT_SESSION.kind,
      metadata: { name, namespace },
      spec: { tenantRef: { name: 'together' }, ...spec },
    });
    await client.create(
      CopilotSession,
      session('of-alice', { owner: 'alice', participants: ['bob'] }) as CopilotSession,
    );
    expect((await waitFor('the answer to a participant', bobs)).answer).toContain('You said: by bob');
    await withClient(as('bob'), async (bob) => {
      const his = await bob.resumeSession('of-alice', { onPermissionRequest: approveAll });
      const heard: string[] = [];
      his.on('user.message', ({ data }) => void heard.push(data.content));
      await world.tenants.patch(CopilotSession, 'of-alice', { spec: { participants: null } });
      const cut = async () => {
        await expect(bobs()).rejects.toThrow('Session not found: of-alice');
        return true;
      };
      await waitFor('the participant is none any more', cut, { withinMs: 60_000 });
      heard.splice(0);
      await chat(as('alice'), { prompt: 'for alice alone', resume: 'of-alice' });
      await expect(his.send({ prompt: 'no more' })).rejects.toThrow('Session not found');
      expect(heard).toEqual([]);
    });
    await client.create(CopilotSession, session('of-carol', { owner: 'carol' }) as CopilotSession);
    const taking = async () => {
      await expect(chat(as('bob'), { prompt: 'x', sessionId: 'of-carol' })).rejects.toThrow('in use or reserved');
      return true;
    };
    await waitFor('the id is reserved', taking);
    const { data } = await client.get(Secret, { namespace: GATEWAY_NAMESPACE, name: STAMP_SECRET });
    expect(world.gateway.output).not.toContain(data?.['key']);
  }, 180_000);

  it('chats by the login of its tenant, which only the gateway reads, and by the next one once the Secret has it', async () => {
    const provider = await providerWith('login', 'sk-first');
    await world.createTenant('initrode', { model: { provider } });
    await using server = await world.startServer('initrode');
    expect(server.port).toBe(SERVER_PORT);
    const bound = { ...world.address, token: await world.token('initrode-binding') };
    await waitFor('the first answer', () => chat(bound, { prompt: 'by the tenant' }), { withinMs: 30_000 });
    expect(await keys('by the tenant')).toEqual([['large', 'Bearer sk-first']]);
    await withClient(bound, async (client) => {
      const session = await client.createSession({ onPermissionRequest: approveAll });
      await world.tenants.patch(Secret, 'login', login('sk-second'));
      const isNext = async () => {
        const prompt = randomUUID();
        await session.sendAndWait({ prompt });
        return (await keys(prompt))[0]?.[1] === 'Bearer sk-second';
      };
      await waitFor('the live session has the next key', isNext, { withinMs: 90_000, everyMs: 500 });
    });
    for (const secret of ['sk-first', 'sk-second']) expect(world.gateway.output).not.toContain(secret);
  }, 180_000);

  it('of a Shared tenant chats by its login, has an agent without tools of the server, and finds no session of another user', async () => {
    const provider = await providerWith('login-of-all', 'sk-of-all');
    await world.createTenant('umbrella', { isolation: 'Shared', model: { provider } });
    await using _server = await world.startServer('umbrella');
    const bound = await world.token('umbrella-binding');
    const as = (user: string): Binding => ({ ...world.address, token: bound.replace(':', `/${user}:`) });
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
    expect((await world.model.requests('by alice')).map(({ tools: offered }) => offered)).toEqual([['lookup']]);
    await withClient(as('bob'), async (bob) => {
      expect(await bob.listSessions()).toEqual([]);
      const resuming = bob.resumeSession('hers', { onPermissionRequest: approveAll });
      await expect(resuming).rejects.toThrow('Session not found: hers');
    });
    expect(world.gateway.output).not.toContain('sk-of-all');
  }, 180_000);

  it('is not admitted with the token of the server, nor to another tenant', async () => {
    await world.createTenant('globex');
    const token = await world.token('globex-token');
    await expect(chat(world.binding(token), { prompt: 'x' })).rejects.toThrow('AUTHENTICATION_FAILED');
    const foreign = (await world.token('globex-binding')).replace('globex', 'acme');
    await expect(chat(world.binding(foreign), { prompt: 'x' })).rejects.toThrow('AUTHENTICATION_FAILED');
    for (const secret of [token, foreign.split(':')[1] ?? '']) expect(world.gateway.output).not.toContain(secret);
  }, 60_000);
});

describe('an agent that turns against its tenant', () => {
  it('finds the token of its server, and gets nothing at the gateway with all that it has', async () => {
    await world.createTenant('initech');
    await using server = await world.startServer('initech');
    const { host, port } = world.address;
    const program = [join(import.meta.dirname, '../../support/agent.ts'), `${host}:${port}`];
    const tenant = `${world.tenants.namespace}/initech`;
    const command = [process.execPath, ...program, tenant, `${server.host}:${server.port}`].join(' ');
    const word = 'turn against them';
    await world.model.say({
      match: word,
      steps: [{ toolCall: { name: 'bash', arguments: { command, description: 'x' } } }, { text: 'done' }],
    });
    const binding = world.binding(await world.token('initech-binding'));
    await waitFor('the agent has done it', () => chat(binding, { prompt: word, timeoutMs: 120_000 }), {
      withinMs: 30_000,
    });
    const results = (await world.model.requests(word)).flatMap(({ toolResults = [] }) => toolResults).join('\n');
    const loot = JSON.parse(/^\{.*\}$/m.exec(results)?.[0] ?? results) as Loot;
    // All of its own server is the agent's: that is why a tenant is one trust domain.
    expect(loot).toMatchObject({ hasToken: true, rewrites: true });
    expect(loot.sessions).toBeGreaterThan(0);
    expect(loot.others).toEqual([]);
    expect(loot.refused).toBeGreaterThan(8);
  }, 180_000);
});
