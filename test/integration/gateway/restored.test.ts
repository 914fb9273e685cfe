// What a server forgets of a session when it is killed, and what it has again afterwards, on both real servers.
import type { CopilotSession, SessionConfig } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpListener } from '../../support/mcp-listener.ts';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const done = { text: 'done' };
const bash = (command: string) => toolCall('bash', { command, description: 'x' });

describe.each(['cli', 'runtime'] as const)('a session whose server was killed (%s)', (binary) => {
  let bench: RelayBench;
  let directory: string;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'copilot-operator-restored-')));
  }, 120_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Runs `set`, kills the server, and runs `then` at the next one. */
  async function acrossKill(
    changes: Partial<SessionConfig>,
    set: (session: CopilotSession, call: (method: string, params?: object) => Promise<unknown>) => Promise<unknown>,
    then: (session: CopilotSession, call: (method: string, params?: object) => Promise<unknown>) => Promise<unknown>,
  ): Promise<void> {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config(changes));
      const { sessionId } = session;
      const call = (method: string, params = {}) => request(client, method, { sessionId, ...params });
      await session.sendAndWait({ prompt: 'before' });
      await set(session, call);
      await bench.server.kill();
      await bench.server.start();
      await then(session, call);
    });
  }

  /** Has the agent run a command, and returns what the model was told of it. */
  async function run(session: CopilotSession, command: string): Promise<string> {
    const word = await bench.answer(bash(command), done);
    expect((await session.sendAndWait({ prompt: word }, 60_000))?.data.content).toBe('done');
    return bench.toolResults(word);
  }

  it('has the directories that were added', async () => {
    const listed = async (call: (method: string) => Promise<unknown>) =>
      JSON.stringify(await call('session.permissions.paths.list'));
    await acrossKill(
      {},
      async (_, call) => {
        expect(await listed(call)).not.toContain(directory);
        await call('session.permissions.paths.add', { path: directory });
        expect(await listed(call)).toContain(directory);
      },
      async (_, call) => expect(await listed(call)).toContain(directory),
    );
  }, 120_000);

  it('has the options that were patched, each of them', async () => {
    await acrossKill(
      {},
      async (session, call) => {
        await call('session.options.update', { excludedTools: ['bash'] });
        await call('session.options.update', { clientName: 'patched' });
        expect(await run(session, 'echo hi42')).not.toContain('hi42');
      },
      async (session) => expect(await run(session, 'echo hi42')).not.toContain('hi42'),
    );
  }, 120_000);

  it('has its hooks called, in the turn that goes on and in the next one', async () => {
    const called: string[] = [];
    const onPreToolUse = async ({ toolName }: { toolName: string }) => void called.push(toolName);
    const word = await bench.answer({ text: 'slow answer', delayMs: 400 }, bash('echo hi42'), done);
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config({ hooks: { onPreToolUse } }));
      const turn = session.sendAndWait({ prompt: word }, 60_000);
      await bench.asked(word);
      await bench.server.kill();
      await bench.server.start();
      expect((await turn)?.data.content).toBe('done');
      expect(called).toEqual(['bash']);
      await run(session, 'echo hi43');
      expect(called).toEqual(['bash', 'bash']);
    });
    expect(await bench.toolResults(word)).toContain('hi42');
  }, 120_000);

  it('is asked for a login of an MCP server by who had said that it gives one', async () => {
    await using mcp = await McpListener.start('lookup');
    let asked = 0;
    const onMcpAuthRequest = () => {
      asked += 1;
      return null;
    };
    const mcpServers = { asks: { type: 'http' as const, url: `${mcp.url}/login`, tools: ['*'] } };
    await acrossKill(
      { mcpServers, onMcpAuthRequest },
      () => waitFor('the client is asked', () => asked > 0),
      async (session) => {
        const before = asked;
        await session.sendAndWait({ prompt: 'after' });
        await waitFor('the client is asked again', () => asked > before);
      },
    );
  }, 120_000);

  it('has its tools, is asked what its client can be asked, and streams what it had streamed', async () => {
    const questions: string[] = [];
    let deltas = 0;
    const changes: Partial<SessionConfig> = {
      streaming: true,
      tools: [clientTool('lookup', (q) => `found ${q}`)],
      onUserInputRequest: ({ question }) => {
        questions.push(question);
        return { answer: 'yes', wasFreeform: true };
      },
      onEvent: ({ type }) => void (deltas += type === 'assistant.message_delta' ? 1 : 0),
    };
    await acrossKill(
      changes,
      async () => expect(deltas).toBeGreaterThan(0),
      async (session) => {
        deltas = 0;
        const question = toolCall('ask_user', { question: 'ok?', allow_freeform: true });
        const word = await bench.answer(toolCall('lookup', { q: 'abc' }), question, done);
        expect((await session.sendAndWait({ prompt: word }, 60_000))?.data.content).toBe('done');
        expect(await bench.toolResults(word)).toContain('found abc');
        expect(questions).toEqual(['ok?']);
        expect(deltas).toBeGreaterThan(0);
      },
    );
  }, 120_000);

  it.each([
    ['by patches of options, and then by calls of their own', ['options', 'own'], ['switched', '/etc']],
    // A patch moves no session that was moved by a call (measured).
    ['by calls of their own, and then by patches of options', ['own', 'options'], ['patched', '/etc']],
  ] as const)(
    'has the model and the directory that were set last: %s',
    async (_what, order, expected) => {
      const found = async (session: CopilotSession): Promise<unknown[]> => {
        const word = await bench.answer(bash('pwd'), done);
        await session.sendAndWait({ prompt: word }, 60_000);
        const [first] = await bench.model.requests(word);
        return [first?.model, (await bench.toolResults(word)).split('\n')[0]];
      };
      await acrossKill(
        {},
        async (session, call) => {
          for (const way of order) {
            if (way === 'options') await call('session.options.update', { model: 'patched', workingDirectory: '/usr' });
            else {
              await session.setModel('switched');
              await call('session.metadata.setWorkingDirectory', { workingDirectory: '/etc' });
            }
          }
          expect(await found(session)).toEqual(expected);
        },
        async (session) => expect(await found(session)).toEqual(expected),
      );
    },
    120_000,
  );

  it('works where it worked', async () => {
    await acrossKill(
      { workingDirectory: directory },
      async (session) => expect(await run(session, 'pwd')).toContain(directory),
      async (session) => expect(await run(session, 'pwd')).toContain(directory),
    );
  }, 120_000);
});
