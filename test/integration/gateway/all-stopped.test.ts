// Servers and replicas of the gateway that are all stopped in the middle of turns, both real servers: what was acknowledged is there afterwards.
import type { CopilotSession } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { BINDING_TOKEN } from '../../support/gateway.ts';
import { problemsOf } from '../../support/history.ts';
import { JoinedGateways } from '../../support/joined-gateways.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { Watched, historyEvent } from '../../support/watched.ts';

const slow = { text: 'one two three four', delayMs: 400 };
/** Not at its end when all is stopped, however busy the machine is. */
const cut = { ...slow, delayMs: 5000 };

describe.each(['cli', 'runtime'] as const)('everything that is stopped at once (%s)', (binary) => {
  let bench: RelayBench;

  beforeEach(async () => {
    bench = await RelayBench.startSeveral(2, binary);
  }, 120_000);
  afterEach(() => bench[Symbol.asyncDispose]());

  /** Two sessions with a turn each, on a server each, of which the prompts were acknowledged so many ms ago when all is stopped. */
  async function stopped(signal: 'SIGTERM' | 'SIGKILL', ms: number): Promise<{ id: string; word: string }[]> {
    return bench.client(async (client) => {
      const begun: { id: string; word: string }[] = [];
      const sessions: CopilotSession[] = [];
      for (const _ of bench.servers) {
        const session = await client.createSession(bench.config());
        await session.sendAndWait({ prompt: 'before' });
        sessions.push(session);
      }
      for (const session of sessions) {
        const word = await bench.answer(cut, slow);
        await session.send({ prompt: word });
        begun.push({ id: session.sessionId, word });
      }
      await setTimeout(ms);
      const servers = bench.servers.map((server) => server.kill(signal));
      // What it does from now on a process that is gone would not do.
      bench.gateway.dropServers();
      await Promise.all([...servers, bench.gateway.stop()]);
      await client.forceStop();
      return begun;
    });
  }

  /** What was said in a session, without what a server that was killed had of an answer. */
  const texts = async (session: CopilotSession) =>
    (await session.getEvents()).flatMap((event) =>
      event.type === 'user.message' || event.type === 'assistant.message' ? [event.data.content] : [],
    );

  /** Resumes the sessions by another replica than the home, and has each answer one prompt more. */
  async function resumed(
    begun: readonly { id: string; word: string }[],
    use: (watched: Watched, word: string) => Promise<void>,
  ): Promise<void> {
    for (const server of bench.servers) await server.start();
    const { host, port } = bench.server;
    const server = { server: { host, port }, token: bench.token };
    await using gateways = await JoinedGateways.start(['next', 'other'], 'next', server);
    for (const name of ['next', 'other']) gateways.gateway(name).fleet.serve(bench.servers);
    await bench.clientAt(bench.model.bind(gateways.gateway('other'), BINDING_TOKEN), async (client) => {
      for (const { id, word } of begun) {
        const watched = new Watched(await client.resumeSession(id, bench.config()));
        expect(await watched.say('after')).toContain('after');
        await use(watched, word);
      }
    });
  }

  const said = (text: string) => expect.stringContaining(text);
  const whole = (word: string) => ['before', said('before'), word, slow.text, 'after', said('after')];

  it.each([
    ['SIGTERM', 400],
    ['SIGKILL', 400],
  ] as const)(
    'by %s, %d ms after prompts were acknowledged: each is in its journal once, and is answered once',
    async (signal, ms) => {
      await resumed(await stopped(signal, ms), async ({ session, seen }, word) => {
        expect(await texts(session)).toEqual(whole(word));
        const journal = (await session.getEvents()).map(historyEvent);
        const since = journal.slice(journal.findIndex(({ content }) => content === word));
        expect(problemsOf(since, { ...seen, prompts: [word, ...seen.prompts] })).toEqual([]);
      });
    },
    180_000,
  );

  // SIGTERM does not have the cli write down what it has acknowledged (seen once on a busy machine).
  it.each([
    ['SIGTERM', 0],
    ['SIGTERM', 50],
    ['SIGKILL', 0],
    ['SIGKILL', 50],
  ] as const)(
    'by %s, %d ms after prompts were acknowledged: each is answered once, or was not on the disk yet and is lost as a whole',
    async (signal, ms) => {
      await resumed(await stopped(signal, ms), async ({ session }, word) => {
        const found = await texts(session);
        const isLost = !found.includes(word);
        if (isLost) bench.mayLose(session.sessionId);
        expect(found).toEqual(isLost ? ['before', said('before'), 'after', said('after')] : whole(word));
      });
    },
    180_000,
  );
});
