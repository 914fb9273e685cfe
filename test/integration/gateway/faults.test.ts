// What goes wrong around a turn, on both real servers: it is answered once, its prompt is in the journal once, and nothing of it is kept afterwards.
import type { CopilotClient, SessionConfig } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import type { GatewayServer } from '../../../src/gateway/model.ts';
import { problemsOf, type Seen } from '../../support/history.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { TENANT } from '../../support/static-fleet.ts';
import { waitFor } from '../../support/wait.ts';
import { Watched, historyEvent } from '../../support/watched.ts';

const patiently = { withinMs: 60_000, everyMs: 50 };
const slow = { text: 'one two three four', delayMs: 400 };

describe.each(['cli', 'runtime'] as const)('in spite of a fault (%s)', (binary) => {
  let bench: RelayBench;

  beforeEach(async () => {
    bench = await RelayBench.start(binary, { detachAfterMs: 500, dialTimeoutMs: 1000 });
  }, 120_000);
  afterEach(() => bench[Symbol.asyncDispose]());

  const make = async (client: CopilotClient, changes: Partial<SessionConfig> = {}) =>
    new Watched(await client.createSession(bench.config({ streaming: true, ...changes })));

  async function replaced(): Promise<void> {
    await bench.server.kill();
    await bench.server.start();
  }

  /** What another client finds afterwards is what this one was told, and then nothing of it is kept. */
  async function intact(id: string, seen: Seen): Promise<void> {
    await bench.client(async (client) => {
      const session = await client.resumeSession(id, bench.config());
      expect(problemsOf((await session.getEvents()).map(historyEvent), seen)).toEqual([]);
    });
    await waitFor('nothing of it is kept', () => bench.gateway.snapshot.sessions.length === 0, patiently);
  }

  /** Puts the pod of the server away, or another one in its place. */
  const pods = (...servers: GatewayServer[]) => bench.gateway.fleet.change({ servers });
  function pod(podUID: string): GatewayServer {
    const [server] = bench.gateway.fleet.find(TENANT)?.servers ?? [];
    if (server === undefined) throw new Error('the tenant has no server');
    return { ...server, podUID };
  }

  it('a prompt that the application sends again is another one, and each is answered once', async () => {
    await bench.client(async (client) => {
      const watched = await make(client);
      const { sessionId } = watched.session;
      const word = await bench.answer(slow, slow, slow, slow);
      const first = watched.say(word);
      await bench.asked(word);
      await bench.server.kill();
      const again = watched.session.send({ prompt: word });
      await bench.server.start();
      await Promise.all([first, again]);
      watched.seen.prompts.push(word);
      await waitFor('the turns end', () => bench.gateway.snapshot.sessions[0]?.state === 'Idle', patiently);
      await watched.session.disconnect();
      await intact(sessionId, watched.seen);
    });
  }, 180_000);

  it('a server that accepts connections and never answers is dialled until it does', async () => {
    await bench.client(async (client) => {
      const watched = await make(client);
      const turn = watched.say(await bench.answer(slow, slow));
      await waitFor('a turn runs', () => bench.gateway.snapshot.sessions[0]?.state === 'Running', patiently);
      await replaced();
      await bench.server.freeze();
      // The kernel takes the connections of a process that stands still.
      pods(pod('frozen'));
      const timeouts = () => bench.gateway.metric('copilot_gateway_server_dials_total', { result: 'Timeout' });
      await waitFor('dials end by time', async () => (await timeouts()) > 0, patiently);
      bench.server.thaw();
      expect(await turn).toBe(slow.text);
      await watched.session.disconnect();
      await intact(watched.session.sessionId, watched.seen);
    });
  }, 180_000);

  it('another pod at the address of the server has the turn go on', async () => {
    await bench.client(async (client) => {
      const watched = await make(client);
      const word = await bench.answer(slow, slow);
      const turn = watched.say(word);
      await bench.asked(word);
      pods(pod('the next one'));
      expect(await turn).toBe(slow.text);
      expect(await watched.say('and now')).toContain('and now');
      await watched.session.disconnect();
      await intact(watched.session.sessionId, watched.seen);
    });
  }, 180_000);

  it('a server of which is told late that it is back is waited for', async () => {
    await bench.client(async (client) => {
      const watched = await make(client);
      const word = await bench.answer(slow, slow);
      const turn = watched.say(word);
      await bench.asked(word);
      const back = pod('the next one');
      pods();
      await replaced();
      await setTimeout(1500);
      pods(back);
      expect(await turn).toBe(slow.text);
      await watched.session.disconnect();
      await intact(watched.session.sessionId, watched.seen);
    });
  }, 180_000);

  it('two pods of a server for a moment are one', async () => {
    await bench.client(async (client) => {
      const watched = await make(client);
      const word = await bench.answer(slow, slow);
      const turn = watched.say(word);
      await bench.asked(word);
      const [before, next] = [pod('pod-1'), pod('the next one')];
      pods(before, next);
      pods(next, before);
      pods(next);
      expect(await turn).toBe(slow.text);
      await watched.session.disconnect();
      await intact(watched.session.sessionId, watched.seen);
    });
  }, 180_000);

  it('a turn goes on whose client has lost its credential, and is found by the next one', async () => {
    const { credentials = [] } = bench.gateway.fleet.find(TENANT) ?? {};
    const word = await bench.answer(slow);
    const id = await bench.client(async (client) => {
      const { session } = await make(client);
      await session.send({ prompt: word });
      await bench.asked(word);
      bench.gateway.fleet.change({ credentials: [] });
      await waitFor('the client is cut', () => bench.gateway.snapshot.clients.length === 0, patiently);
      return session.sessionId;
    });
    expect(await bench.cut('CredentialRevoked')).toBe(1);
    bench.gateway.fleet.change({ credentials });
    await waitFor('the turn has ended', () => bench.server.journalOf(id).includes('assistant.turn_end'), patiently);
    await bench.client(async (client) => {
      const session = await client.resumeSession(id, bench.config());
      const events = await session.getEvents();
      expect(events.filter(({ type }) => type === 'user.message')).toHaveLength(1);
      expect(events.filter(({ type }) => type === 'assistant.message')).toHaveLength(1);
    });
  }, 120_000);

  it('a CopilotSession that is deleted under a live client takes only its settings along', async () => {
    await bench.client(async (client) => {
      const sessionId = crypto.randomUUID();
      const settings = { model: 'of-the-resource' };
      bench.gateway.ownership.record(sessionId, { owner: undefined, participants: [], settings });
      const watched = await make(client, { sessionId });
      const word = await bench.answer(slow, slow);
      const turn = watched.say(word);
      await bench.asked(word);
      bench.gateway.ownership.record(sessionId, undefined);
      expect(await turn).toBe(slow.text);
      await replaced();
      expect(await watched.say('after')).toContain('after');
      await watched.session.disconnect();
      await intact(sessionId, watched.seen);
    });
  }, 180_000);
});
