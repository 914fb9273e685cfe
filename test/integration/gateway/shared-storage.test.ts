// A tenant whose servers share a directory, with real servers behind real guards: its sessions move between them, and no two ever write one.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CopilotSession } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { signGrant, type GrantIntent } from '../../../src/resources/session-grant.ts';
import { RawClient } from '../../support/raw-client.ts';
import { SharedBench } from '../../support/shared-bench.ts';
import { waitFor } from '../../support/wait.ts';

const PATIENCE = { withinMs: 60_000 };

describe.each(['cli', 'runtime'] as const)('a tenant with two servers and one volume (%s)', (binary) => {
  let bench: SharedBench;
  const sessions = new Set<string>();

  beforeEach(async () => {
    sessions.clear();
    bench = await SharedBench.start(2, binary);
  }, 120_000);
  afterEach(async () => {
    await using _bench = bench;
    expect([...sessions].flatMap((id) => bench.problemsOf(id))).toEqual([]);
  }, 60_000);

  const said = async (session: CopilotSession): Promise<string[]> =>
    (await session.getEvents()).flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));

  async function other(session: CopilotSession): Promise<number> {
    return 1 - (await bench.placeOf(session.sessionId));
  }

  it('moves an idle session when its server is drained for good, and its client notices nothing', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      sessions.add(session.sessionId);
      await session.sendAndWait({ prompt: 'first' });
      const target = await other(session);
      bench.drain(1 - target);
      await waitFor('it is drained', () => bench.gateway.drains().every(({ isDrained }) => isDrained), PATIENCE);
      await session.sendAndWait({ prompt: 'second' });
      expect([await bench.placeOf(session.sessionId), await said(session)]).toEqual([target, ['first', 'second']]);
    });
  }, 120_000);

  it('goes on with the turn of a session whose server and pod are gone, on the same socket', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      sessions.add(session.sessionId);
      await session.sendAndWait({ prompt: 'first' });
      const target = await other(session);
      const word = randomUUID();
      await bench.model.say({ match: word, steps: [{ text: 'the answer', delayMs: 3000, chunks: 1 }] });
      const answer = session.sendAndWait({ prompt: word }, 90_000);
      await waitFor('the model is asked', async () => (await bench.model.requests(word)).length > 0, PATIENCE);
      await bench.remove(1 - target);
      expect((await answer)?.data.content).toBeTruthy();
      expect([await bench.placeOf(session.sessionId), await said(session)]).toEqual([target, ['first', word]]);
    });
  }, 180_000);

  it('refuses frames of a home that is late, and the session goes on', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const { sessionId } = session;
      sessions.add(sessionId);
      await session.sendAndWait({ prompt: 'first' });
      const place = await bench.placeOf(sessionId);
      const { guard, podUID } = bench.pods[place] ?? {};
      if (guard === undefined || podUID === undefined) throw new Error('the session is nowhere');
      const late = new RawClient(connect({ host: guard.host, port: guard.port }));
      late.connect(bench.token);
      await late.answer(1);
      const grant = (epoch: number, intent: GrantIntent) =>
        signGrant(
          {
            tenant: 'team/acme',
            server: `team/acme-${place}`,
            pod: podUID,
            session: sessionId,
            epoch,
            intent,
            issuedAt: new Date().toISOString(),
          },
          bench.signer,
        );
      const record = await bench.store.read({ tenant: 'uid-of-acme', session: sessionId });
      const epoch = record?.epoch ?? 0;
      // It had the session under the same epoch, and then it moved away and back.
      late.send({ id: 2, method: 'guard.grant', params: { grant: grant(epoch, 'load') } });
      expect((await late.answer(2)).result).toMatchObject({ epoch });
      bench.drain(place);
      await waitFor('it is drained', () => bench.gateway.drains().every(({ isDrained }) => isDrained), PATIENCE);
      await session.sendAndWait({ prompt: 'second' });
      late.send({ id: 3, method: 'session.send', params: { sessionId, prompt: 'late' } });
      expect((await late.answer(3)).error?.data).toMatchObject({ rule: 'StaleEpoch' });
      late.send({ id: 4, method: 'guard.grant', params: { grant: grant(epoch, 'load') } });
      expect((await late.answer(4)).error?.data).toMatchObject({ rule: 'StaleEpoch' });
      late.stream.destroy();
      expect(await said(session)).toEqual(['first', 'second']);
    });
  }, 120_000);

  it('spreads new sessions, lists all of them by either, and deletes one wherever it is', async () => {
    await bench.client(async (client) => {
      const made = [await client.createSession(bench.config()), await client.createSession(bench.config())];
      for (const session of made) {
        sessions.add(session.sessionId);
        await session.sendAndWait({ prompt: 'hello' });
      }
      const places = await Promise.all(made.map(({ sessionId }) => bench.placeOf(sessionId)));
      expect(new Set(places)).toEqual(new Set([0, 1]));
      const listed = (await client.listSessions()).map(({ sessionId }) => sessionId);
      expect(listed.toSorted()).toEqual([...sessions].toSorted());
      for (const { sessionId } of made) await client.deleteSession(sessionId);
      sessions.clear();
      expect(await client.listSessions()).toEqual([]);
    });
  }, 120_000);
});
