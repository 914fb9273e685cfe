// Replicas of the gateway that are cut off, with a real API server, real connections between them, and both real servers.
import type { CopilotClient, CopilotSession } from '@github/copilot-sdk';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { AgreeingGateways } from '../../support/agreeing-gateways.ts';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { BINDING_TOKEN } from '../../support/gateway.ts';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const done = { text: 'done' };
/** Longer than it takes until another replica is the home. */
const long = { text: 'never complete', delayMs: 60_000, chunks: 3 };

let api: ApiServer;

beforeAll(async () => {
  api = await startApiServer();
}, 120_000);
afterAll(() => api.stop());

describe.each(['cli', 'runtime'] as const)('a home (%s)', (binary) => {
  let bench: RelayBench;
  let gateways: AgreeingGateways;

  beforeEach(async () => {
    bench = await RelayBench.start(binary);
    const { host, port } = bench.server;
    const keys = [{ id: 'first', key: randomBytes(32) }];
    const server = { server: { host, port }, token: bench.token };
    gateways = await AgreeingGateways.start(api, keys, ['home', 'other'], server);
  }, 120_000);
  afterEach(async () => {
    await gateways[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const at = <T>(name: string, use: (client: CopilotClient) => Promise<T>): Promise<T> =>
    bench.clientAt(bench.model.bind(gateways.of(name).gateway, BINDING_TOKEN), use);
  const answerTo = async (session: CopilotSession, prompt: string) =>
    (await session.sendAndWait({ prompt }, 120_000))?.data.content;

  async function prompts(session: CopilotSession): Promise<string[]> {
    const events = await session.getEvents();
    return events.flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
  }

  it('that is cut off from all but the servers gives up by its own clock, and turns of its clients go on: never are two at work', async () => {
    const [far, near] = [await bench.answer(long, done), await bench.answer(long, done)];
    await at('other', (forwarded) =>
      at('home', async (own) => {
        const sessions = [
          await forwarded.createSession(bench.config()),
          await own.createSession(bench.config()),
        ] as const;
        const turns = [answerTo(sessions[0], far), answerTo(sessions[1], near)];
        await Promise.all([bench.asked(far), bench.asked(near)]);
        const [home, other] = [gateways.of('home').peer, gateways.of('other').peer];
        home.cutOffFromApi();
        for (const peer of [home, other]) peer.cutOffFromPeers();
        expect(await turns[0]).toBe('done');
        expect(home.fencedAt).toHaveLength(1);
        home.reconnectToApi();
        for (const peer of [home, other]) peer.reconnectToPeers();
        expect(await turns[1]).toBe('done');
        expect([await prompts(sessions[0]), await prompts(sessions[1])]).toEqual([[far], [near]]);
      }),
    );
    expect(gateways.alone).toBeGreaterThan(0);
    expect(gateways.overlaps).toBe(0);
  }, 180_000);

  it('goes on without the API server, for clients that are connected and for new ones', async () => {
    await at('other', async (forwarded) => {
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const session = await forwarded.createSession(bench.config({ tools }));
      await answerTo(session, 'before');
      const peers = ['home', 'other'].map((name) => gateways.of(name).peer);
      for (const peer of peers) peer.cutOffFromApi();
      const failed = (peer: (typeof peers)[0]) => peer.log.filter((line) => line.includes('failed to renew')).length;
      await waitFor('no Lease is renewed', () => peers.every((peer) => failed(peer) > 0), { withinMs: 60_000 });
      const renewals = async () => (await Promise.all(peers.map((peer) => peer.home()))).join();
      // Five times as long as a Lease lasts.
      const until = performance.now() + 20_000;
      await waitFor('Leases would have expired', () => performance.now() > until, { withinMs: 60_000 });
      const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
      expect(await answerTo(session, word)).toBe('done');
      for (const name of ['home', 'other']) {
        const answer = await at(name, async (client) => answerTo(await client.createSession(bench.config()), 'new'));
        expect(answer).toContain('new');
      }
      expect([peers.flatMap(({ fencedAt }) => fencedAt), await renewals()]).toEqual([[], 'Here,home']);
      for (const peer of peers) peer.reconnectToApi();
    });
    expect(gateways.alone).toBeGreaterThan(0);
    expect(gateways.overlaps).toBe(0);
  }, 180_000);

  it.each(['home', 'other'])(
    'whose link to a peer is half open towards %s: the turn of its client goes on',
    async (side) => {
      const next = await bench.answer(done);
      await at('other', async (forwarded) => {
        const session = await forwarded.createSession(bench.config());
        await answerTo(session, 'before');
        gateways.of(side).peer.silencePeers();
        const turn = answerTo(session, next);
        const { gateway } = gateways.of('other');
        const isLost = async () => (await gateway.metric('copilot_gateway_client_moves_total')) > 0;
        if (side === 'home') await waitFor('it is noticed', isLost, { withinMs: 60_000 });
        gateways.of(side).peer.reconnectToPeers();
        expect(await turn).toBe('done');
        expect(await prompts(session)).toEqual(['before', next]);
      });
      expect(gateways.alone).toBeGreaterThan(0);
      expect(gateways.overlaps).toBe(0);
    },
    180_000,
  );
});
