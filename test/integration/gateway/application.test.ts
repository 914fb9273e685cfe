// An application from the binding Secret to its answer: the operator's reconciler makes the tenant, the gateway is a process with its own
// rights, and the server is the real one. Only the kubelet is played.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { Secret } from '../../../src/kube/types/builtins.ts';
import type { Loot } from '../../support/agent.ts';
import { chat } from '../../support/chat.ts';
import { GatewayWorld } from '../../support/gateway-world.ts';
import { waitFor } from '../../support/wait.ts';

let world: GatewayWorld;

beforeAll(async () => {
  world = await GatewayWorld.start();
}, 120_000);
afterAll(() => world[Symbol.asyncDispose]());

describe('an application', () => {
  it('chats with the token of its binding Secret, goes on after the pod was replaced, and with the next token', async () => {
    await world.createTenant('acme');
    const server = await world.startServer('acme');
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
    await server[Symbol.asyncDispose]();
  }, 120_000);

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
    const server = await world.startServer('initech');
    const { host, port } = world.address;
    const program = [join(import.meta.dirname, '../../support/agent.ts'), `${host}:${port}`];
    const tenant = `${world.tenants.namespace}/initech`;
    const command = [process.execPath, ...program, tenant, server.port].join(' ');
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
    await server[Symbol.asyncDispose]();
  }, 180_000);
});
