// A guard that is killed alone, with a turn under way. Its server lives, and sees the connection of the gateway go: it cancels what the model is asked, and
// what clients are asked goes on. No prompt is there twice, no tool runs twice, and nothing is refused.
import type { CopilotSession } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Step } from '../../model/script.ts';
import { clientTool, toolCall } from '../../support/relay-bench.ts';
import { SharedBench } from '../../support/shared-bench.ts';
import { waitFor } from '../../support/wait.ts';

const PATIENCE = { withinMs: 60_000 };

describe.each(['cli', 'runtime'] as const)('a guard that is restarted alone (%s)', (binary) => {
  let bench: SharedBench;
  const sessions = new Set<string>();

  beforeAll(async () => {
    bench = await SharedBench.start(1, binary);
  }, 120_000);
  afterAll(async () => {
    await using _bench = bench;
    expect([...sessions].flatMap((id) => bench.problemsOf(id))).toEqual([]);
  }, 60_000);

  async function says(...steps: Step[]): Promise<string> {
    const word = randomUUID();
    await bench.model.say({ match: word, steps });
    return word;
  }

  const asked = (word: string, times: number) =>
    waitFor(
      `the model is asked ${times} times`,
      async () => (await bench.model.requests(word)).length >= times,
      PATIENCE,
    );

  async function restart(): Promise<void> {
    const { guard } = bench.pods[0] ?? {};
    await guard?.kill();
    await guard?.restart();
    await waitFor('the gateway is connected again', () => bench.gateway.isConnected, PATIENCE);
  }

  /** What users have said, and how often the model was asked about it. */
  async function doneOf(session: CopilotSession, word: string): Promise<[prompts: number, requests: number]> {
    const said = (await session.getEvents()).flatMap((event) =>
      event.type === 'user.message' && event.data.content.includes(word) ? [event] : [],
    );
    return [said.length, (await bench.model.requests(word)).length];
  }

  it('has the turn go on, and the model asked again what it had not answered', async () => {
    const word = await says({ text: 'too late', delayMs: 30_000 }, { text: 'the answer' });
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      sessions.add(session.sessionId);
      const answer = session.sendAndWait({ prompt: word }, 60_000);
      await asked(word, 1);
      await restart();
      expect((await answer)?.data.content).toBe('the answer');
      expect(await doneOf(session, word)).toEqual([1, 2]);
      expect((await session.sendAndWait({ prompt: 'next' }, 60_000))?.data.content).toBeTruthy();
    });
  }, 120_000);

  it('has a tool of a client run to its end, once', async () => {
    const word = await says(toolCall('lookup', { q: 'x' }), { text: 'done' });
    const { promise, resolve } = Promise.withResolvers<string>();
    let calls = 0;
    const tools = [
      clientTool('lookup', () => {
        calls += 1;
        return promise;
      }),
    ];
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config({ tools }));
      sessions.add(session.sessionId);
      const answer = session.sendAndWait({ prompt: word }, 60_000);
      await waitFor('the tool is called', () => calls > 0, PATIENCE);
      await restart();
      resolve('found it');
      expect((await answer)?.data.content).toBe('done');
      const results = (await bench.model.requests(word)).flatMap(({ toolResults = [] }) => toolResults).join();
      expect(results).toContain('found it');
      expect([calls, await doneOf(session, word)]).toEqual([1, [1, 2]]);
    });
  }, 120_000);

  it('has a question for a permission answered', async () => {
    const word = await says(toolCall('bash', { command: 'echo granted', description: 'x' }), { text: 'done' });
    const { promise, resolve } = Promise.withResolvers<void>();
    let questions = 0;
    const onPermissionRequest = async () => {
      questions += 1;
      await promise;
      return { kind: 'approve-once' } as const;
    };
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config({ onPermissionRequest }));
      sessions.add(session.sessionId);
      const answer = session.sendAndWait({ prompt: word }, 60_000);
      await waitFor('the client is asked', () => questions > 0, PATIENCE);
      await restart();
      resolve();
      expect((await answer)?.data.content).toBe('done');
      const results = (await bench.model.requests(word)).flatMap(({ toolResults = [] }) => toolResults).join();
      expect(results).toContain('granted');
      expect(await doneOf(session, word)).toEqual([1, 2]);
    });
  }, 120_000);
});
