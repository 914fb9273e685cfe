// Clients and servers with IPv6 addresses: the gateway listens for both families, and dials a pod at the address that it has.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { chat } from '../../support/chat.ts';
import { GatewayWorld } from '../../support/gateway-world.ts';
import { waitFor } from '../../support/wait.ts';

let world: GatewayWorld;
beforeAll(async () => {
  world = await GatewayWorld.start();
}, 120_000);
afterAll(() => world[Symbol.asyncDispose]());

it.each(['cli', 'runtime'] as const)(
  'a client chats over ::1 with a server (%s) at ::1',
  async (binary) => {
    const tenant = `acme-${binary}`;
    await world.createTenant(tenant, { server: { binary } });
    await using server = await world.startServer(tenant, binary, '::1');
    expect(server.host).toBe('::1');
    const binding = { ...world.binding(await world.token(`${tenant}-binding`)), host: '[::1]' };
    // The gateway learns of the tenant and its pod by watches of its own.
    const first = await waitFor('the first answer', () => chat(binding, { prompt: 'hello' }), { withinMs: 60_000 });
    expect(first.answer).toContain('You said: hello');
    // A client of the other family goes on with the session.
    const again = await chat({ ...binding, host: world.address.host }, { prompt: 'again', resume: first.sessionId });
    expect(again.answer).toContain('You said: again');
  },
  120_000,
);
