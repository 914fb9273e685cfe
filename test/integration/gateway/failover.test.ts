// Servers that are killed in every moment of a turn, both real ones: their clients get the answer, and the history has each prompt once.
import type { CopilotSession, PermissionHandler, SessionConfig } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

type UserInputHandler = NonNullable<SessionConfig['onUserInputRequest']>;

const bash = (command: string) => toolCall('bash', { command, description: 'x' });
const done = { text: 'done' };
const slow = { text: 'one two three four', delayMs: 400, chunks: 4 };

describe.each([
  ['cli', 'SIGKILL'],
  ['cli', 'SIGTERM'],
  ['runtime', 'SIGKILL'],
  ['runtime', 'SIGTERM'],
] as const)('a server that is lost (%s, %s)', (binary, signal) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  async function replaced(): Promise<void> {
    await bench.server.kill(signal);
    await bench.server.start();
  }

  /** The same, when the journal has the event of this type: what is lost with it is done anew. */
  async function replacedAfter(type: string, id: string): Promise<void> {
    await waitFor(`the journal has ${type}`, () => bench.server.journalOf(id).includes(`"type":"${type}"`));
    await replaced();
  }

  /** A session of a client of its own. */
  function inSession<T>(changes: Partial<SessionConfig>, use: (session: CopilotSession) => Promise<T>): Promise<T> {
    return bench.client(async (client) => use(await client.createSession(bench.config(changes))));
  }

  /** The prompts in the history, in order. */
  async function prompts(session: CopilotSession): Promise<string[]> {
    const events = await session.getEvents();
    return events.flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
  }

  async function answerTo(session: CopilotSession, prompt: string): Promise<string | undefined> {
    return (await session.sendAndWait({ prompt }, 60_000))?.data.content;
  }

  it('between two turns', async () => {
    await inSession({}, async (session) => {
      await answerTo(session, 'first');
      await replaced();
      expect(await answerTo(session, 'second')).toContain('second');
      expect(await prompts(session)).toEqual(['first', 'second']);
    });
  }, 120_000);

  it('right after a turn, whose end it may not have written', async () => {
    await inSession({}, async (session) => {
      const word = await bench.answer(done, done);
      await answerTo(session, word);
      await replaced();
      expect(await answerTo(session, 'next')).toContain('next');
      expect(await prompts(session)).toEqual([word, 'next']);
    });
  }, 120_000);

  it('while it streams', async () => {
    const word = await bench.answer(slow, { text: 'whole answer' });
    await inSession({ streaming: true }, async (session) => {
      const begun = new Promise<void>((resolve) => void session.on('assistant.message_delta', () => resolve()));
      const turn = answerTo(session, word);
      await begun;
      await replaced();
      expect(await turn).toBe('whole answer');
      expect(await prompts(session)).toEqual([word]);
    });
  }, 120_000);

  it('with a permission open, which is answered meanwhile', async () => {
    const word = await bench.answer(bash('echo hi42'), done);
    const onPermissionRequest: PermissionHandler = async (_, { sessionId }) => {
      await replacedAfter('permission.requested', sessionId);
      return { kind: 'approve-once' as const };
    };
    await inSession({ onPermissionRequest }, async (session) => {
      expect(await answerTo(session, word)).toBe('done');
      expect(await prompts(session)).toEqual([word]);
    });
    expect(await bench.toolResults(word)).toContain('hi42');
  }, 120_000);

  it('while a tool of the client runs, which runs once', async () => {
    const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
    let calls = 0;
    let id = '';
    const lookup = clientTool('lookup', async (q) => {
      calls += 1;
      await replacedAfter('external_tool.requested', id);
      return `found ${q}`;
    });
    await inSession({ tools: [lookup] }, async (session) => {
      id = session.sessionId;
      expect(await answerTo(session, word)).toBe('done');
      expect(await prompts(session)).toEqual([word]);
    });
    expect(await bench.toolResults(word)).toContain('found abc');
    expect(calls).toBe(1);
  }, 120_000);

  it('while its shell runs, of which the model is told', async () => {
    const word = await bench.answer(bash('sleep 60'), done);
    await inSession({}, async (session) => {
      const turn = answerTo(session, word);
      await replacedAfter('permission.completed', session.sessionId);
      expect(await turn).toBe('done');
      expect(await prompts(session)).toEqual([word]);
    });
    expect(await bench.toolResults(word)).toContain('interrupted');
  }, 120_000);

  it('while it asks the user', async () => {
    // A server that is told to stop may ask the model once more before it does.
    const word = await bench.answer(toolCall('ask_user', { question: 'ok?', allow_freeform: true }), done, done);
    const onUserInputRequest: UserInputHandler = async (_, { sessionId }) => {
      await replacedAfter('tool.execution_start', sessionId);
      return { answer: 'too late', wasFreeform: true };
    };
    await inSession({ onUserInputRequest }, async (session) => {
      expect(await answerTo(session, word)).toBe('done');
      expect(await prompts(session)).toEqual([word]);
    });
  }, 120_000);

  it('while a hook decides on a tool', async () => {
    const word = await bench.answer(bash('echo hi42'), done);
    const onPreToolUse = async (_: unknown, { sessionId }: { sessionId: string }) => {
      await replacedAfter('assistant.message', sessionId);
      return {};
    };
    await inSession({ hooks: { onPreToolUse } }, async (session) => {
      expect(await answerTo(session, word)).toBe('done');
      expect(await prompts(session)).toEqual([word]);
    });
  }, 120_000);

  it('with prompts that wait for the turn', async () => {
    const word = await bench.answer(slow, slow);
    await inSession({}, async (session) => {
      const answers: string[] = [];
      session.on('assistant.message', ({ data }) => void answers.push(data.content));
      const seen: (string | undefined)[] = [];
      session.on('user.message', ({ data }) => void seen.push(data.messageId));
      const idle = new Promise<void>((resolve) => void session.on('session.idle', () => resolve()));
      const ids: string[] = [];
      for (const prompt of [word, 'second', 'third']) ids.push(await session.send({ prompt }));
      await bench.asked(word);
      await replaced();
      await idle;
      expect(answers).toEqual([slow.text, expect.stringContaining('second'), expect.stringContaining('third')]);
      expect(await prompts(session)).toEqual([word, 'second', 'third']);
      expect(new Set(seen)).toEqual(new Set(ids));
    });
  }, 120_000);

  it.each([0, 5, 20, 50, 100, 150])(
    '%d ms after a prompt was sent',
    async (ms) => {
      await inSession({}, async (session) => {
        await answerTo(session, 'before');
        const word = await bench.answer({ text: 'at last' }, { text: 'at last' });
        const turn = answerTo(session, word);
        await setTimeout(ms);
        await replaced();
        expect(await turn).toBe('at last');
        expect(await prompts(session)).toEqual(['before', word]);
      });
    },
    120_000,
  );
});
