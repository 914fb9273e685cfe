// Several clients of one session through the relay, on both real servers: who is asked, and whose turn it is.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CopilotClient, CopilotSession, SessionConfig } from '@github/copilot-sdk';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
const done = { text: 'done' };

describe.each(['cli', 'runtime'] as const)('clients of one session (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 90_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** Two clients, of which the first has made the session and the second resumed it. */
  function two(
    first: Partial<SessionConfig>,
    second: Partial<SessionConfig>,
    use: (a: CopilotSession, b: CopilotSession, clients: readonly CopilotClient[]) => Promise<void>,
  ): Promise<void> {
    return bench.client((one) =>
      bench.client(async (other) => {
        const a = await one.createSession(bench.config(first));
        const b = await other.resumeSession(a.sessionId, bench.config(second));
        await use(a, b, [one, other]);
      }),
    );
  }

  it('both see its events, and each gets the answer to its own prompt', async () => {
    const first = await bench.answer({ text: 'answer of A', delayMs: 300, chunks: 3 });
    const second = await bench.answer({ text: 'answer of B', delayMs: 100, chunks: 3 });
    await two({}, {}, async (a, b) => {
      const seenByA: string[] = [];
      a.on('user.message', ({ data }) => void seenByA.push(data.content));
      const answerToA = a.sendAndWait({ prompt: first });
      await bench.asked(first);
      const [ofA, ofB] = await Promise.all([answerToA, b.sendAndWait({ prompt: second })]);
      expect([ofA?.data.content, ofB?.data.content]).toEqual(['answer of A', 'answer of B']);
      expect(seenByA).toEqual([first, second]);
    });
  }, 120_000);

  it('a tool that both declare runs once', async () => {
    const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
    const runs: string[] = [];
    const tool = (name: string) => clientTool('lookup', (q) => `${name} found ${q} ${runs.push(name)}`);
    await two({ tools: [tool('A')] }, { tools: [tool('B')] }, async (a) => {
      await a.sendAndWait({ prompt: word });
      expect(runs).toEqual(['B']);
    });
  }, 120_000);

  it('the tools of both are offered to the model, until one leaves', async () => {
    const own = (name: string) => ({ tools: [clientTool(name, () => 'ok')] });
    const [both, one] = [await bench.answer(done), await bench.answer(done)];
    await two(own('of_a'), own('of_b'), async (a, b) => {
      await a.sendAndWait({ prompt: both });
      expect((await bench.model.requests(both))[0]?.tools).toEqual(expect.arrayContaining(['of_a', 'of_b']));
      await b.disconnect();
      await a.sendAndWait({ prompt: one });
    });
    const [request] = await bench.model.requests(one);
    expect(request?.tools).toContain('of_a');
    expect(request?.tools).not.toContain('of_b');
  }, 120_000);

  it('streaming that one wants is not switched off by the other', async () => {
    await two({ streaming: true }, { streaming: false }, async (a) => {
      let deltas = 0;
      a.on('assistant.message_delta', () => void (deltas += 1));
      await a.sendAndWait({ prompt: 'hello' });
      expect(deltas).toBeGreaterThan(0);
    });
  }, 120_000);

  it('a permission is asked of both, and the first answer counts', async () => {
    const word = await bench.answer(bash, done);
    const asked: string[] = [];
    const slow = Promise.withResolvers<void>();
    const onPermissionRequest = async () => {
      asked.push('A');
      await slow.promise;
      return { kind: 'reject' as const };
    };
    const quick = async () => {
      asked.push('B');
      return { kind: 'approve-once' as const };
    };
    await two({ onPermissionRequest }, { onPermissionRequest: quick }, async (a) => {
      const answer = await a.sendAndWait({ prompt: word });
      slow.resolve();
      expect(answer?.data.content).toBe('done');
    });
    expect(asked.toSorted()).toEqual(['A', 'B']);
    expect(await bench.toolResults(word)).toContain('hi42');
  }, 120_000);

  it('a hook of either can deny', async () => {
    const word = await bench.answer(bash, done);
    const seen: string[] = [];
    const allow = { hooks: { onPreToolUse: async () => void seen.push('A') } };
    const deny = async () => {
      seen.push('B');
      return { permissionDecision: 'deny' as const, permissionDecisionReason: 'B says no' };
    };
    await two(allow, { hooks: { onPreToolUse: deny } }, async (a) => {
      await a.sendAndWait({ prompt: word });
    });
    expect(seen.toSorted()).toEqual(['A', 'B']);
    expect(await bench.toolResults(word)).toContain('B says no');
  }, 120_000);

  it('a question to the user is asked of both, and a client that fails does not answer it', async () => {
    const word = await bench.answer(toolCall('ask_user', { question: 'ok?', allow_freeform: true }), done);
    const fail = async () => {
      throw new Error('no screen');
    };
    const answer = async () => ({ answer: 'yes of B', wasFreeform: true });
    await two({ onUserInputRequest: fail }, { onUserInputRequest: answer }, async (a) => {
      await a.sendAndWait({ prompt: word });
    });
    expect(await bench.toolResults(word)).toContain('yes of B');
  }, 120_000);

  it('one that leaves in the middle of a turn does not end it', async () => {
    const word = await bench.answer({ text: 'slow answer', delayMs: 300, chunks: 3 });
    await two({}, {}, async (a, b) => {
      const answers: string[] = [];
      b.on('assistant.message', ({ data }) => void answers.push(data.content));
      await a.send({ prompt: word });
      await bench.asked(word);
      await a.disconnect();
      await waitFor('B sees the answer', () => answers.includes('slow answer'));
    });
  }, 120_000);
});
