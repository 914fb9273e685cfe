// The home of a tenant dies in every moment of a turn, with both real servers: clients at another replica get the answer, once, and those that
// were connected to it find their turn going on.
import { approveAll, type CopilotClient, type CopilotSession, type SessionConfig } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BINDING_TOKEN } from '../../support/gateway.ts';
import { JoinedGateways } from '../../support/joined-gateways.ts';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const done = { text: 'done' };
const slow = { text: 'one two three four', delayMs: 600, chunks: 4 };
/** Streams for a minute. */
const endless = { text: 'and so on '.repeat(100), delayMs: 200, chunks: 300 };
const bash = (command: string) => toolCall('bash', { command, description: 'x' });
const ask = toolCall('ask_user', { question: 'ok?', allow_freeform: true });

describe.each(['cli', 'runtime'] as const)('a home that dies (%s)', (binary) => {
  let bench: RelayBench;
  let gateways: JoinedGateways;

  beforeEach(async () => {
    bench = await RelayBench.start(binary);
    const { host, port } = bench.server;
    gateways = await JoinedGateways.start(['a', 'b', 'c'], 'b', { server: { host, port }, token: bench.token });
  }, 120_000);
  afterEach(async () => {
    await gateways[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const at = <T>(name: string, use: (client: CopilotClient) => Promise<T>): Promise<T> =>
    bench.clientAt(bench.model.bind(gateways.gateway(name), BINDING_TOKEN), use);
  const dies = (next = 'c') => gateways.kill('b', next);
  const inSession = <T>(changes: Partial<SessionConfig>, use: (session: CopilotSession) => Promise<T>): Promise<T> =>
    at('a', async (client) => use(await client.createSession(bench.config(changes))));
  const answerTo = async (session: CopilotSession, prompt: string) =>
    (await session.sendAndWait({ prompt }, 90_000))?.data.content;

  async function prompts(session: CopilotSession): Promise<string[]> {
    const events = await session.getEvents();
    return events.flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
  }

  /** Counts the events of a session by type. */
  function counted(session: CopilotSession): Map<string, number> {
    const types = new Map<string, number>();
    session.on(({ type }) => void types.set(type, (types.get(type) ?? 0) + 1));
    return types;
  }

  it.each(['a', 'c'])(
    'while the model streams, and %s is the next',
    async (next) => {
      const word = await bench.answer(endless, { text: 'whole answer' });
      await inSession({ streaming: true }, async (session) => {
        await answerTo(session, 'first');
        const types = counted(session);
        const begun = new Promise<void>((resolve) => void session.on('assistant.message_delta', () => resolve()));
        const turn = answerTo(session, word);
        await begun;
        await dies(next);
        expect(await turn).toBe('whole answer');
        expect(await prompts(session)).toEqual(['first', word]);
        expect([types.get('session.idle'), types.get('session.error'), types.get('user.message')]).toEqual([
          1,
          undefined,
          1,
        ]);
        expect(await answerTo(session, 'next')).toContain('next');
      });
    },
    120_000,
  );

  it('with a permission open, which its client is asked once', async () => {
    const word = await bench.answer(bash('echo hi42'), done);
    let asked = 0;
    const onPermissionRequest = async () => {
      asked += 1;
      await dies();
      return { kind: 'approve-once' as const };
    };
    await inSession({ onPermissionRequest }, async (session) => {
      expect(await answerTo(session, word)).toBe('done');
      expect(await prompts(session)).toEqual([word]);
    });
    expect(await bench.toolResults(word)).toContain('hi42');
    expect(asked).toBe(1);
  }, 120_000);

  it('while a tool of a client runs, which runs once', async () => {
    const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
    const ran: string[] = [];
    const lookup = (who: string) =>
      clientTool('lookup', async (q) => {
        ran.push(who);
        await dies();
        await waitFor('the next home has it', () => gateways.gateway('c').snapshot.sessions.length === 1);
        return `${who} found ${q}`;
      });
    await inSession({ tools: [lookup('A')] }, async (session) => {
      await at('a', async (client) => {
        // It could run the tool, too.
        await client.resumeSession(session.sessionId, bench.config({ tools: [lookup('B')] }));
        expect(await answerTo(session, word)).toBe('done');
        expect(await prompts(session)).toEqual([word]);
      });
    });
    expect(ran).toHaveLength(1);
    expect(await bench.toolResults(word)).toContain(`${ran.join()} found abc`);
  }, 120_000);

  it('right after a prompt was sent', async () => {
    await inSession({}, async (session) => {
      await answerTo(session, 'before');
      const word = await bench.answer({ text: 'at last' }, { text: 'at last' });
      const turn = answerTo(session, word);
      await dies();
      expect(await turn).toBe('at last');
      expect(await prompts(session)).toEqual(['before', word]);
    });
  }, 120_000);

  it('with a prompt that waits for the turn of another client, each of which gets its own answer', async () => {
    const [first, second] = [await bench.answer(endless, slow), await bench.answer(done)];
    await inSession({}, async (session) => {
      await answerTo(session, 'before');
      await at('a', async (client) => {
        const other = await client.resumeSession(session.sessionId, bench.config());
        const turn = answerTo(session, first);
        await bench.asked(first);
        const held = answerTo(other, second);
        await waitFor('it waits', () =>
          gateways.gateway('b').snapshot.sessions.some(({ heldPrompts }) => heldPrompts === 1),
        );
        await dies();
        expect([await turn, await held]).toEqual([slow.text, 'done']);
        expect(await prompts(session)).toEqual(['before', first, second]);
      });
    });
  }, 120_000);

  it('does not allow what a client had forbidden that has left, or was connected to it', async () => {
    const word = await bench.answer(bash('echo hi42'), done);
    await inSession({}, async (session) => {
      await answerTo(session, 'before');
      await at('b', async (client) => {
        const other = await client.resumeSession(session.sessionId, bench.config());
        await request(client, 'session.options.update', { sessionId: other.sessionId, excludedTools: ['bash'] });
        await client.stop();
      });
      await dies();
      expect(await answerTo(session, word)).toBe('done');
    });
    expect(await bench.toolResults(word)).not.toContain('hi42');
  }, 120_000);

  /** A client of the home that dies, in the middle of its turn; its session. */
  async function lostWithHome(
    changes: Partial<SessionConfig>,
    prompt: string,
    until: () => Promise<unknown>,
  ): Promise<string> {
    return at('b', async (client) => {
      const session = await client.createSession(bench.config(changes));
      await session.sendAndWait({ prompt: 'before' });
      await session.send({ prompt });
      await until();
      await dies();
      await client.forceStop();
      return session.sessionId;
    });
  }

  /** A new client at another replica resumes the session, and waits for the end of its turn. */
  async function comesAgain(id: string, changes: Partial<SessionConfig>): Promise<string[]> {
    return at('a', async (client) => {
      const { promise: idle, resolve: onIdle } = Promise.withResolvers<void>();
      const texts: string[] = [];
      const config = bench.config(changes);
      const session = await client.resumeSession(id, {
        ...config,
        onEvent: (event) => {
          if (event.type === 'assistant.message') texts.push(event.data.content);
          if (event.type === 'session.idle') onIdle();
        },
      });
      await idle;
      expect(await prompts(session)).toHaveLength(2);
      return texts;
    });
  }

  it('has its clients find their turn going on when they connect again', async () => {
    const word = await bench.answer(endless, { text: 'whole answer' });
    const id = await lostWithHome({}, word, () => bench.asked(word));
    expect(await comesAgain(id, {})).toEqual(['whole answer']);
  }, 120_000);

  it('has them asked again for a permission, whatever the session allowed by itself', async () => {
    const word = await bench.answer(bash('echo one'), bash('echo two'), done);
    const { promise, resolve } = Promise.withResolvers<void>();
    const onPermissionRequest = () => {
      resolve();
      return new Promise<never>(() => undefined);
    };
    const id = await lostWithHome({ onPermissionRequest }, word, () => promise);
    let asked = 0;
    await comesAgain(id, {
      onPermissionRequest: (...args) => {
        asked += 1;
        return approveAll(...args);
      },
    });
    expect(asked).toBe(2);
    expect(await bench.toolResults(word)).toContain('one');
  }, 120_000);

  // A server that has lost its only connection answers its question itself, so the turn may have ended before anybody comes.
  it('leaves a question for the user to the model, whose answer its client finds', async () => {
    const word = await bench.answer(ask, done, done);
    const { promise, resolve } = Promise.withResolvers<void>();
    const onUserInputRequest = () => {
      resolve();
      return new Promise<never>(() => undefined);
    };
    const id = await lostWithHome({ onUserInputRequest }, word, () => promise);
    await at('a', async (client) => {
      const answer = async () => ({ answer: 'yes', wasFreeform: true });
      const session = await client.resumeSession(id, bench.config({ onUserInputRequest: answer }));
      const isDone = async () =>
        (await session.getEvents()).some((each) => each.type === 'assistant.message' && each.data.content === 'done');
      await waitFor('the history has the answer', isDone, { withinMs: 60_000 });
      expect(await prompts(session)).toEqual(['before', word]);
    });
  }, 120_000);

  it.each(['a', 'b'])(
    'runs no tool on which a hook of a client at %s has yet to decide',
    async (where) => {
      const directory = mkdtempSync(join(tmpdir(), 'home-dies-'));
      const file = join(directory, 'ran');
      const word = await bench.answer(bash(`touch ${file}`), done, done);
      const { promise, resolve } = Promise.withResolvers<void>();
      const onPreToolUse = () => {
        resolve();
        return new Promise<never>(() => undefined);
      };
      const deny = async () => ({ permissionDecision: 'deny' as const, permissionDecisionReason: 'no' });
      let asked = 0;
      if (where === 'b') {
        const id = await lostWithHome({ hooks: { onPreToolUse } }, word, () => promise);
        await at('a', async (client) => {
          const session = await client.resumeSession(id, bench.config({ hooks: { onPreToolUse: deny } }));
          const isDone = async () =>
            (await session.getEvents()).some(
              (each) => each.type === 'assistant.message' && each.data.content === 'done',
            );
          await waitFor('the history has the answer', isDone, { withinMs: 60_000 });
        });
      } else {
        const onlyOnce = async () => {
          asked += 1;
          if (asked > 1) return deny();
          await dies();
          return {};
        };
        await inSession({ hooks: { onPreToolUse: onlyOnce } }, async (session) => {
          expect(await answerTo(session, word)).toBe('done');
        });
      }
      expect(existsSync(file)).toBe(false);
      rmSync(directory, { recursive: true });
    },
    120_000,
  );
});
