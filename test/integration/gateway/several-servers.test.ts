// A tenant with two servers, both real ones, behind one gateway: its sessions are spread over them, and clients notice nothing of it.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CopilotClient, CopilotSession } from '@github/copilot-sdk';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withClient } from '../../support/chat.ts';
import { BINDING_TOKEN, GatewayInProcess } from '../../support/gateway.ts';
import { RelayBench, request } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const AWAY = { code: -32050, data: { retryable: true, outcome: 'NotSent' } };

describe.each(['cli', 'runtime'] as const)('a tenant with two servers (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.startSeveral(2, binary, { awayMs: 20_000 });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** Indexes of the servers that have a directory of the session. */
  const placesOf = (sessionId: string): number[] =>
    bench.servers.flatMap(({ sessionState }, index) => (existsSync(join(sessionState, sessionId)) ? [index] : []));

  /** Sessions with a turn, one on each server. */
  async function spread(client: CopilotClient): Promise<[CopilotSession, CopilotSession]> {
    const before = new Map<number, CopilotSession>();
    while (before.size < 2) {
      const session = await client.createSession(bench.config());
      await session.sendAndWait({ prompt: `remember ${session.sessionId}` });
      const [place = -1, ...others] = placesOf(session.sessionId);
      expect(others).toEqual([]);
      before.set(place, session);
    }
    return [before.get(0) as CopilotSession, before.get(1) as CopilotSession];
  }

  it('has its sessions on both, and another client finds each of them with all that was said', async () => {
    await bench.client(async (client) => {
      const sessions = await spread(client);
      expect(sessions.map(({ sessionId }) => placesOf(sessionId))).toEqual([[0], [1]]);
      await bench.client(async (other) => {
        for (const { sessionId } of sessions) {
          const resumed = await other.resumeSession(sessionId, bench.config());
          const events = await resumed.getEvents();
          const said = events.flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
          expect(said).toEqual([`remember ${sessionId}`]);
          expect(placesOf(sessionId)).toHaveLength(1);
          expect((await other.getSessionMetadata(sessionId))?.sessionId).toBe(sessionId);
        }
      });
    });
  }, 120_000);

  it('lists all of them, the newest first, and deletes each where it is', async () => {
    await bench.client(async (client) => {
      const [first, second] = await spread(client);
      for (const session of [first, second, first]) {
        await session.sendAndWait({ prompt: 'again' });
        await waitFor('it is the last one', async () => (await client.getLastSessionId()) === session.sessionId);
      }
      const ids = (await client.listSessions()).map(({ sessionId }) => sessionId);
      expect(ids.slice(0, 2)).toEqual([first.sessionId, second.sessionId]);
      for (const { sessionId } of [first, second]) {
        await client.deleteSession(sessionId);
        expect(placesOf(sessionId)).toEqual([]);
        await expect(client.resumeSession(sessionId, bench.config())).rejects.toThrow('Session not found');
      }
      const left = (await client.listSessions()).map(({ sessionId }) => sessionId);
      expect(left).not.toContain(first.sessionId);
      expect(left).not.toContain(second.sessionId);
    });
  }, 120_000);

  it('answers what concerns sessions of both at once', async () => {
    await bench.client(async (client) => {
      const sessions = await spread(client);
      const sessionIds = sessions.map(({ sessionId }) => sessionId);
      const { sizes } = (await request(client, 'sessions.getSizes', {})) as { sizes: Record<string, number> };
      expect(Object.keys(sizes)).toEqual(expect.arrayContaining(sessionIds));
      const entries = await request(client, 'sessions.getClientMetadata', { sessionIds: [...sessionIds, 'none'] });
      expect(entries).toEqual([
        expect.objectContaining({ sessionId: sessionIds[0], status: 'ok' }),
        expect.objectContaining({ sessionId: sessionIds[1], status: 'ok' }),
        expect.objectContaining({ sessionId: 'none', status: 'notFound' }),
      ]);
      const newest = await request(client, 'sessions.listNonEmptySessionIds', { limit: 1 });
      expect(newest).toEqual({ sessionIds: [await client.getLastSessionId()] });
      const { sessions: listed } = (await request(client, 'sessions.list', {})) as { sessions: object[] };
      expect(await request(client, 'sessions.enrichMetadata', { sessions: listed })).toEqual({
        sessions: expect.arrayContaining(sessionIds.map((sessionId) => expect.objectContaining({ sessionId }))),
      });
      const freed = await request(client, 'sessions.bulkDelete', { sessionIds: [...sessionIds, 'none'] });
      expect(freed).toEqual({
        freedBytes: { [sessionIds[0] ?? '']: expect.any(Number), [sessionIds[1] ?? '']: expect.any(Number), none: 0 },
      });
      expect(sessionIds.map(placesOf)).toEqual([[], []]);
    });
  }, 120_000);

  it('goes on with the sessions of one while the other is away, and with those of the other when it is back', async () => {
    await bench.client(async (client) => {
      const [first, second] = await spread(client);
      const addresses = bench.servers.map(({ host, port }) => ({ host, port }));
      await bench.servers[1]?.kill();
      bench.gateway.fleet.serve([addresses[0], undefined]);
      expect((await first.sendAndWait({ prompt: 'still there?' }))?.data.content).toBeDefined();
      const made = await client.createSession(bench.config());
      await made.sendAndWait({ prompt: 'new' });
      expect(placesOf(made.sessionId)).toEqual([0]);
      const held = second.sendAndWait({ prompt: 'held' });
      await bench.client(async (other) => {
        await bench.servers[1]?.start();
        bench.gateway.fleet.serve(addresses);
        const resumed = await other.resumeSession(second.sessionId, bench.config());
        await resumed.sendAndWait({ prompt: 'back' });
      });
      expect((await held)?.data.content).toBeDefined();
      expect(placesOf(second.sessionId)).toEqual([1]);
    });
  }, 120_000);

  it('waits for a server that is away when a session may be there, and finds it', async () => {
    const addresses = bench.servers.map(({ host, port }) => ({ host, port }));
    bench.gateway.fleet.serve([addresses[0], undefined]);
    const [, server] = bench.servers;
    if (server === undefined) throw new Error('there is one server only');
    // Not by the gateway, which would know where it is.
    const sessionId = await withClient(bench.model.bind(server, bench.token), async (client) => {
      const session = await client.createSession(bench.config());
      await session.sendAndWait({ prompt: 'elsewhere' });
      return session.sessionId;
    });
    await using fresh = await GatewayInProcess.start({ server, token: bench.token, relayLimits: { awayMs: 20_000 } });
    fresh.fleet.serve([addresses[0], undefined]);
    await bench.clientAt(bench.model.bind(fresh, BINDING_TOKEN), async (client) => {
      const resumed = client.resumeSession(sessionId, bench.config());
      await waitFor('the other server is asked', async () =>
        (await fresh.metrics()).includes('copilot_gateway_server_dials_total{result="Connected"} 1'),
      );
      fresh.fleet.serve(addresses);
      expect((await (await resumed).sendAndWait({ prompt: 'here' }))?.data.content).toBeDefined();
      expect(placesOf(sessionId)).toEqual([1]);
    });
    bench.gateway.fleet.serve(addresses);
  }, 120_000);

  it('says where the sessions of a server are that it does not run any more', async () => {
    await bench.client(async (client) => {
      const [first, second] = await spread(client);
      const addresses = bench.servers.map(({ host, port }) => ({ host, port }));
      bench.gateway.fleet.serve(addresses.slice(0, 1));
      await expect(second.send({ prompt: 'x' })).rejects.toThrow('raise spec.replicas to 2');
      await bench.client(async (other) => {
        const made = other.createSession(bench.config({ sessionId: second.sessionId }));
        await expect(made).rejects.toMatchObject(AWAY);
      });
      expect((await first.sendAndWait({ prompt: 'y' }))?.data.content).toBeDefined();
      bench.gateway.fleet.serve(addresses);
      expect((await second.sendAndWait({ prompt: 'z' }))?.data.content).toBeDefined();
      expect(placesOf(second.sessionId)).toEqual([1]);
    });
  }, 120_000);
});
