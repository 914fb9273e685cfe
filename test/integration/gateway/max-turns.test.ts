// A tenant that limits how many turns its server runs, and one whose sessions go by user or in turn: both real servers, with real SDKs.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CopilotClient, CopilotSession } from '@github/copilot-sdk';
import { RelayBench } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const patiently = { withinMs: 30_000, everyMs: 50 };

describe.each(['cli', 'runtime'] as const)('a server with one turn at a time (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
    bench.gateway.fleet.change({ limits: { maxConcurrentTurns: 1 } });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** What a client was told of a place in the queue, by the SDK's own event. */
  function places(session: CopilotSession): string[] {
    const told: string[] = [];
    session.on('session.info', ({ data }) => {
      if (data.infoType === 'gateway_queue') told.push(data.message);
    });
    return told;
  }

  const turnOf = async (session: CopilotSession, word: string) =>
    (await session.sendAndWait({ prompt: word }, patiently.withinMs))?.data.content;

  it('has the prompts of other sessions wait, tells them their place, and answers all', async () => {
    await bench.client(async (client) => {
      const sessions: CopilotSession[] = [];
      for (let n = 0; n < 3; n += 1) sessions.push(await client.createSession(bench.config()));
      const [first, second, third] = sessions as [CopilotSession, CopilotSession, CopilotSession];
      const told = [places(first), places(second), places(third)];
      const slow = await bench.answer({ text: 'one two three four', delayMs: 1000, chunks: 4 });
      const words = [await bench.answer({ text: 'second' }), await bench.answer({ text: 'third' })];
      const turns = [turnOf(first, slow)];
      await bench.asked(slow);
      turns.push(turnOf(second, words[0] ?? ''), turnOf(third, words[1] ?? ''));
      await waitFor('both are told', () => (told[1]?.length ?? 0) > 0 && (told[2]?.length ?? 0) > 0, patiently);
      // Neither has reached the model while the first turn runs.
      expect(await Promise.all(words.map(async (word) => (await bench.model.requests(word)).length))).toEqual([0, 0]);
      expect(await Promise.all(turns)).toEqual(['one two three four', 'second', 'third']);
      expect(told.map((each) => each[0] ?? '')).toEqual([
        '',
        expect.stringContaining('it is number 1 of'),
        expect.stringContaining('it is number 2 of 2'),
      ]);
      // It was no event of the session: nobody finds it in the history.
      expect(JSON.stringify(await third.getEvents())).not.toContain('gateway_queue');
    });
  }, 120_000);
});

describe('a tenant with three servers', () => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.startSeveral(3, 'runtime');
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const placeOf = (sessionId: string): number =>
    bench.servers.findIndex(({ sessionState }) => existsSync(join(sessionState, sessionId)));

  async function places(client: CopilotClient, count: number): Promise<number[]> {
    const found: number[] = [];
    for (let n = 0; n < count; n += 1) {
      const session = await client.createSession(bench.config());
      await session.sendAndWait({ prompt: await bench.answer({ text: 'made' }) });
      found.push(placeOf(session.sessionId));
    }
    return found;
  }

  it('makes sessions on one after the other, if it says so', async () => {
    bench.gateway.fleet.change({ placement: 'RoundRobin' });
    await bench.client(async (client) => {
      const [first = 0, ...others] = await places(client, 4);
      expect(others).toEqual([1, 2, 3].map((n) => (first + n) % 3));
    });
  }, 120_000);
});
