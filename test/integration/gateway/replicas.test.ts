// Clients of two replicas of the gateway, on both real servers: they share sessions, and notice nothing when the home is another one.
import { afterEach, describe, expect, it } from '@jest/globals';
import type { CopilotClient, PermissionHandler } from '@github/copilot-sdk';
import { connect } from 'node:net';
import { BINDING_TOKEN } from '../../support/gateway.ts';
import { JoinedGateways } from '../../support/joined-gateways.ts';
import { RawClient } from '../../support/raw-client.ts';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const done = { text: 'done' };

describe.each(['cli', 'runtime'] as const)('two replicas (%s)', (binary) => {
  let bench: RelayBench;
  let gateways: JoinedGateways;

  /** The server of the bench behind replicas `a` and `b`, of which one is the home. */
  async function start(home: string, drain = { leaveMs: 60_000, closeMs: 100 }): Promise<void> {
    bench = await RelayBench.start(binary);
    const { host, port } = bench.server;
    gateways = await JoinedGateways.start(['a', 'b'], home, { server: { host, port }, token: bench.token, drain });
  }
  afterEach(async () => {
    await gateways[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const at = <T>(name: string, use: (client: CopilotClient) => Promise<T>): Promise<T> =>
    bench.clientAt(bench.model.bind(gateways.gateway(name), BINDING_TOKEN), use);
  const lookup = (who: string, ran: string[] = []) =>
    clientTool('lookup', (q) => {
      ran.push(who);
      return `${who} found ${q}`;
    });

  it('clients of one session at both share a tool, which runs once', async () => {
    await start('a');
    const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
    const ran: string[] = [];
    await at('a', (one) =>
      at('b', async (other) => {
        const first = await one.createSession(bench.config({ tools: [lookup('A', ran)] }));
        const second = await other.resumeSession(first.sessionId, bench.config({ tools: [lookup('B', ran)] }));
        const idle = Promise.withResolvers<void>();
        second.on('session.idle', () => idle.resolve());
        expect((await first.sendAndWait({ prompt: word }))?.data.content).toBe('done');
        await idle.promise;
      }),
    );
    expect(ran).toHaveLength(1);
  }, 120_000);

  it.each(['a', 'b'])(
    'a client at a goes on with its tools when home b dies, and %s is the next',
    async (next) => {
      await start('b');
      const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
      await gateways.homes('a').route({ namespace: 'team', name: 'acme' }, { isForwarded: false });
      await at('a', async (client) => {
        const session = await client.createSession(bench.config({ tools: [lookup('A')] }));
        await session.sendAndWait({ prompt: 'remember me' });
        if (next === 'a') await gateways.kill('b', 'a');
        // It has lost its connections, and comes back as the home.
        else gateways.homes('b').fence();
        expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      });
      expect(await bench.toolResults(word)).toContain('A found abc');
      const [first] = await bench.model.requests(word);
      expect(first?.roles?.filter((role) => role === 'user').length).toBeGreaterThanOrEqual(2);
    },
    120_000,
  );

  it('a home that stops does not wait for a permission, which its client is asked once and gives at the next home', async () => {
    await start('b');
    const word = await bench.answer(toolCall('bash', { command: 'echo hi42', description: 'x' }), done);
    let asked = 0;
    let left: Promise<unknown> | undefined;
    const onPermissionRequest = async () => {
      asked += 1;
      gateways.directory.next = 'a';
      left = gateways.gateway('b').stop();
      await waitFor('the tenant is at a', () => gateways.directory.home === 'a');
      return { kind: 'approve-once' as const };
    };
    await at('a', async (client) => {
      const session = await client.createSession(bench.config({ onPermissionRequest }));
      expect((await session.sendAndWait({ prompt: word }, 90_000))?.data.content).toBe('done');
    });
    await left;
    expect([await bench.toolResults(word), asked]).toEqual([expect.stringContaining('hi42'), 1]);
  }, 120_000);

  it('a home that stops leaves a session without a client asking at the next one if it had rules, and as it was otherwise', async () => {
    await start('b');
    const denied = [{ kind: 'shell', argument: 'touch:*' }];
    const ids = await at('a', async (client) => {
      const sessions = [await client.createSession(bench.config()), await client.createSession(bench.config())];
      for (const [index, { sessionId }] of sessions.entries()) {
        await sessions[index]?.sendAndWait({ prompt: 'before' }, 60_000);
        await request(client, 'session.permissions.setMode', { sessionId, mode: 'allow-all' });
        const rules = { approved: [], denied };
        if (index === 0) await request(client, 'session.permissions.configure', { sessionId, rules });
      }
      return sessions.map(({ sessionId }) => sessionId);
    });
    gateways.directory.next = 'a';
    await gateways.gateway('b').stop();
    await at('a', async (client) => {
      const asked: string[] = [];
      for (const id of ids) {
        const onPermissionRequest: PermissionHandler = (_, { sessionId }) => {
          asked.push(sessionId);
          return { kind: 'approve-once' };
        };
        const session = await client.resumeSession(id, bench.config({ onPermissionRequest }));
        const word = await bench.answer(toolCall('bash', { command: 'touch x', description: 'x' }), done);
        expect((await session.sendAndWait({ prompt: word }, 60_000))?.data.content).toBe('done');
      }
      expect(asked).toEqual([ids[0]]);
      const modes = ids.map((sessionId) => request(client, 'session.permissions.getMode', { sessionId }));
      expect(await Promise.all(modes)).toMatchObject([{ mode: 'manual' }, { mode: 'allow-all' }]);
    });
  }, 120_000);

  it('a home that stops lets turns end, and its clients and those of others notice nothing', async () => {
    await start('b');
    const turn = { text: 'one two three four', delayMs: 1500, chunks: 4 };
    const [first, second] = [await bench.answer(turn), await bench.answer(turn)];
    const [third, fourth] = await Promise.all([1, 2].map(() => bench.answer(toolCall('lookup', { q: 'abc' }), done)));
    let left: Promise<void> | undefined;
    await at('b', (own) =>
      at('a', async (other) => {
        const tools = (who: string) => bench.config({ tools: [lookup(who)] });
        const sessions = [await own.createSession(tools('own')), await other.createSession(tools('other'))];
        const atRest = [await own.createSession(tools('own')), await other.createSession(tools('other'))];
        const turns = sessions.map((session, index) => session.sendAndWait({ prompt: [first, second][index] ?? '' }));
        await Promise.all([bench.asked(first), bench.asked(second)]);
        gateways.directory.next = 'a';
        const stopped = gateways.gateway('b').stop();
        // They wait until the tenant is at a.
        const held = atRest.map((session, index) => session.sendAndWait({ prompt: [third, fourth][index] ?? '' }));
        for (const answer of await Promise.all(turns)) expect(answer?.data.content).toBe(turn.text);
        for (const answer of await Promise.all(held)) expect(answer?.data.content).toBe('done');
        expect(gateways.directory.home).toBe('a');
        expect(await gateways.gateway('a').metric('copilot_gateway_forwarded_clients', { state: 'FromPeer' })).toBe(1);
        left = stopped;
      }),
    );
    await left;
    expect([await bench.toolResults(third ?? ''), await bench.toolResults(fourth ?? '')]).toEqual([
      'own found abc',
      'other found abc',
    ]);
  }, 120_000);
});

describe('a client at another replica that does not read', () => {
  it('is cut by its home with the reason, while another one gets all that its session streams', async () => {
    const MIB = 1024 * 1024;
    await using bench = await RelayBench.start('runtime');
    const { host, port } = bench.server;
    await using gateways = await JoinedGateways.start(['holder', 'home'], 'home', {
      server: { host, port },
      token: bench.token,
      relayLimits: { softQueueBytes: 64 * MIB, hardQueueBytes: 8 * MIB },
    });
    const holder = gateways.gateway('holder');
    const binding = bench.model.bind(holder, BINDING_TOKEN);
    await bench.clientAt(binding, async (client) => {
      const session = await client.createSession({ ...bench.config(), streaming: true });
      await session.sendAndWait({ prompt: await bench.answer({ text: 'x'.repeat(MIB) }) }, 60_000);
      const slow = new RawClient(connect(binding.port, binding.host));
      slow.connect(binding.token);
      await slow.answer(1);
      slow.stream.pause();
      // Each answer has the megabyte.
      for (let id = 2; id < 32; id += 1) {
        slow.send({ id, method: 'session.getMessages', params: { sessionId: session.sessionId } });
      }
      const text = 'and so on '.repeat(2_000);
      const answer = await session.sendAndWait({ prompt: await bench.answer({ text, chunks: 400 }) }, 60_000);
      expect(answer?.data.content).toBe(text);
      const cut = () => holder.metric('copilot_gateway_closed_connections_total', { reason: 'SlowClient' });
      await waitFor('it is cut', async () => (await cut()) === 1, { withinMs: 60_000 });
      slow.stream.destroy();
    });
  }, 180_000);
});
