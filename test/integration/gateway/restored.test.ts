// What a server forgets of a session when it is killed, and what it has again afterwards, on both real servers.
import type { CopilotSession, SessionConfig } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpListener } from '../../support/mcp-listener.ts';
import { RelayBench, request, toolCall } from '../../support/relay-bench.ts';
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

  it('works where it worked', async () => {
    await acrossKill(
      { workingDirectory: directory },
      async (session) => expect(await run(session, 'pwd')).toContain(directory),
      async (session) => expect(await run(session, 'pwd')).toContain(directory),
    );
  }, 120_000);
});
