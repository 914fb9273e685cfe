// What a tenant may state, for clients that are connected to another replica than its home, with both real servers; also when that home dies.
import type { CopilotClient, CopilotSession } from '@github/copilot-sdk';
import { afterEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CopilotServer } from '../../support/copilot-server.ts';
import { BINDING_TOKEN, bindingTokenFor, type GatewayInProcessOptions } from '../../support/gateway.ts';
import { JoinedGateways } from '../../support/joined-gateways.ts';
import { RelayBench, request } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const done = { text: 'done' };
const slow = { text: 'one two three four', delayMs: 1000, chunks: 4 };
/** Streams for a minute. */
const endless = { text: 'and so on '.repeat(100), delayMs: 200, chunks: 300 };
const REFUSED = { code: -32050, data: { retryable: true } };

describe.each(['cli', 'runtime'] as const)('clients at another replica (%s)', (binary) => {
  let bench: RelayBench;
  let gateways: JoinedGateways;
  const servers: CopilotServer[] = [];

  async function start(options: GatewayInProcessOptions = {}): Promise<void> {
    bench = await RelayBench.start(binary);
    const { host, port } = bench.server;
    const server = { server: { host, port }, token: bench.token };
    gateways = await JoinedGateways.start(['a', 'home'], 'home', { ...options, ...server });
  }
  afterEach(async () => {
    await gateways[Symbol.asyncDispose]();
    for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  /** Every replica learns of the same change. */
  function change(...changed: Parameters<(typeof bench.gateway.fleet)['change']>): void {
    for (const name of ['a', 'home']) gateways.gateway(name).fleet.change(...changed);
  }
  const at = <T>(token: string, use: (client: CopilotClient) => Promise<T>): Promise<T> =>
    bench.clientAt(bench.model.bind(gateways.gateway('a'), token), use);
  const of = <T>(user: string, use: (client: CopilotClient) => Promise<T>): Promise<T> =>
    at(bindingTokenFor(user), use);
  const answerTo = async (session: CopilotSession, prompt: string) =>
    (await session.sendAndWait({ prompt }, 90_000))?.data.content;
  const listed = async (client: CopilotClient) => (await client.listSessions()).map(({ sessionId }) => sessionId);

  it.each(['Shared', 'SharedTrusted'] as const)(
    'whose users are kept apart (%s) find their own sessions only, and their turns go on',
    async (isolation) => {
      await start({ isolation });
      const word = await bench.answer(endless, done);
      await of('alice', (alice) =>
        of('bob', async (bob) => {
          const hers = await alice.createSession(bench.config({ sessionId: 'hers' }));
          const his = await bob.createSession(bench.config({ sessionId: 'his' }));
          expect([await answerTo(hers, 'first'), await answerTo(his, 'first')]).toEqual(
            Array(2).fill(expect.any(String)),
          );
          const apart = async () => {
            expect([await listed(alice), await listed(bob)]).toEqual([['hers'], ['his']]);
            await expect(bob.resumeSession('hers', bench.config())).rejects.toThrow('Session not found: hers');
            const read = request(bob, 'session.getMessages', { sessionId: 'hers' });
            await expect(read).rejects.toThrow('Session not found: hers');
            await expect(bob.createSession(bench.config({ sessionId: 'hers' }))).rejects.toThrow('in use');
          };
          await apart();
          const seen: string[] = [];
          his.on(({ type }) => void seen.push(type));
          const turn = answerTo(hers, word);
          await bench.asked(word);
          await gateways.kill('home', 'a');
          expect(await turn).toBe('done');
          await apart();
          // Of a session that is loaded again others are told.
          expect(seen.filter((type) => /^(user|assistant|tool)\.|^session\.(idle|error)$/.test(type))).toEqual([]);
          expect(await answerTo(his, 'next')).toContain('next');
        }),
      );
    },
    180_000,
  );

  it('of a tenant with two servers have a session on each, whose turns go on', async () => {
    await start();
    servers.push(await CopilotServer.start(binary, bench.token));
    const all = [bench.server, ...servers];
    for (const name of ['a', 'home']) gateways.gateway(name).fleet.serve(all.map(({ host, port }) => ({ host, port })));
    const placesOf = (id: string): number[] =>
      all.flatMap(({ sessionState }, index) => (existsSync(join(sessionState, id)) ? [index] : []));
    await at(BINDING_TOKEN, async (client) => {
      const sessions: CopilotSession[] = [];
      const places = () => new Set(sessions.flatMap(({ sessionId }) => placesOf(sessionId)));
      while (places().size < 2) {
        const session = await client.createSession(bench.config());
        await answerTo(session, 'first');
        sessions.push(session);
      }
      const words = await Promise.all(sessions.map(() => bench.answer(endless, done)));
      const turns = sessions.map((session, index) => answerTo(session, words[index] ?? ''));
      await Promise.all(words.map((word) => bench.asked(word)));
      await gateways.kill('home', 'a');
      expect(await Promise.all(turns)).toEqual(sessions.map(() => 'done'));
      expect(sessions.map(({ sessionId }) => placesOf(sessionId).length)).toEqual(sessions.map(() => 1));
      expect(new Set(await listed(client))).toEqual(new Set(sessions.map(({ sessionId }) => sessionId)));
    });
  }, 180_000);

  it('of a paused tenant get no prompts, and turns that run go on', async () => {
    await start();
    const word = await bench.answer(endless, done);
    await at(BINDING_TOKEN, async (client) => {
      const session = await client.createSession(bench.config());
      const other = await client.createSession(bench.config());
      await answerTo(session, 'first');
      const turn = answerTo(session, word);
      await bench.asked(word);
      change({ isPaused: true });
      await expect(other.send({ prompt: 'refused' })).rejects.toMatchObject(REFUSED);
      await expect(at(BINDING_TOKEN, (late) => late.getStatus())).rejects.toThrow('is paused');
      await gateways.kill('home', 'a');
      expect(await turn).toBe('done');
      await expect(other.send({ prompt: 'refused' })).rejects.toMatchObject(REFUSED);
      change({ isPaused: false });
      expect(await answerTo(other, 'now')).toContain('now');
    });
  }, 120_000);

  it('that are kicked connect again, and find their turn going on', async () => {
    await start();
    const word = await bench.answer(slow);
    let id = '';
    await at(BINDING_TOKEN, async (client) => {
      const session = await client.createSession(bench.config());
      id = session.sessionId;
      await answerTo(session, 'first');
      await session.send({ prompt: word });
      await bench.asked(word);
      change({ kick: 'once' });
      await waitFor('it is closed', async () => (await gateways.gateway('a').metric('copilot_gateway_clients')) === 0);
      await client.forceStop();
    });
    await at(BINDING_TOKEN, async (client) => {
      const session = await client.resumeSession(id, bench.config());
      const isDone = async () =>
        (await session.getEvents()).some(
          (each) => each.type === 'assistant.message' && each.data.content === slow.text,
        );
      await waitFor('it comes to its end', isDone, { withinMs: 60_000 });
    });
    expect(await bench.model.requests(word)).toHaveLength(1);
  }, 120_000);
});
