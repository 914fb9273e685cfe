// What the Node SDK can do with a server, done through the relay with both real servers: as without it.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CopilotClient, RuntimeConnection } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { connect as dial } from 'node:net';
import { McpListener } from '../../support/mcp-listener.ts';
import { RelayBench, WAYS, request } from '../../support/relay-bench.ts';
import { RawClient } from '../../support/raw-client.ts';
import { waitFor } from '../../support/wait.ts';

describe.each(WAYS)('a feature of the Node SDK (%s, %s)', (binary, way) => {
  let bench: RelayBench;
  /** A word that only this test's prompts have. */
  let word: string;

  beforeAll(async () => {
    // So often that each feature meets some of these messages: SDKs are to ignore them.
    bench = await RelayBench.startBy(way, binary, { keepaliveMs: 20 });
  }, 90_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    word = randomUUID();
  });

  /** The model calls a tool and then says `done`. */
  const callTool = (name: string, args: Record<string, unknown>) =>
    bench.model.say({ match: word, steps: [{ toolCall: { name, arguments: args } }, { text: 'done' }] });
  const toolResults = async () => (await bench.model.requests(word)).flatMap(({ toolResults = [] }) => toolResults);

  it('goes on among keepalive messages', async () => {
    const { host, port, token } = bench.binding;
    const raw = new RawClient(dial(port, host));
    raw.connect(token);
    await waitFor('three messages', () => raw.received.filter(({ method }) => method === '$/keepalive').length >= 3);
    raw.stream.destroy();
  });

  it('questions to the user', async () => {
    await callTool('ask_user', { question: 'ok?', allow_freeform: true });
    await bench.client(async (client) => {
      const session = await client.createSession(
        bench.config({
          onUserInputRequest: async ({ question }) => ({ answer: `answer to ${question}`, wasFreeform: true }),
        }),
      );
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
    });
    expect((await toolResults()).join()).toContain('answer to ok?');
  }, 60_000);

  it('hooks, which see every tool and change the prompt', async () => {
    await callTool('bash', { command: 'echo hooked', description: 'x' });
    const seen: string[] = [];
    await bench.client(async (client) => {
      const session = await client.createSession(
        bench.config({
          hooks: {
            onPreToolUse: async ({ toolName }) => void seen.push(`pre:${toolName}`),
            onPostToolUse: async ({ toolName }) => void seen.push(`post:${toolName}`),
            onUserPromptSubmitted: async ({ prompt }) => ({ modifiedPrompt: `${prompt} CHANGED` }),
          },
        }),
      );
      await session.sendAndWait({ prompt: word });
    });
    expect(seen).toEqual(['pre:bash', 'post:bash']);
    expect((await bench.model.requests(word))[0]?.prompt).toContain('CHANGED');
  }, 60_000);

  it('a hook that denies a tool', async () => {
    await callTool('bash', { command: 'echo never', description: 'x' });
    await bench.client(async (client) => {
      const deny = async () => ({ permissionDecision: 'deny' as const, permissionDecisionReason: 'not today' });
      const session = await client.createSession(bench.config({ hooks: { onPreToolUse: deny } }));
      await session.sendAndWait({ prompt: word });
    });
    expect((await toolResults()).join()).toContain('not today');
  }, 60_000);

  it('a system message that the client transforms', async () => {
    await bench.client(async (client) => {
      const sections = { identity: { action: async (text: string) => `${text} MARKED` } };
      const session = await client.createSession(bench.config({ systemMessage: { mode: 'customize', sections } }));
      const systems: string[] = [];
      session.on('system.message', (event) => void systems.push(event.data.content));
      await session.sendAndWait({ prompt: word });
      expect(systems.join()).toContain('MARKED');
    });
  }, 60_000);

  it('leaving plan mode', async () => {
    const args = { summary: 'S', actions: ['interactive'], recommendedAction: 'interactive' };
    await callTool('exit_plan_mode', args);
    const asked: string[] = [];
    await bench.client(async (client) => {
      const onExitPlanModeRequest = async ({ summary }: { summary: string }) => {
        asked.push(summary);
        return { approved: true, selectedAction: 'interactive' as const };
      };
      const session = await client.createSession(bench.config({ onExitPlanModeRequest }));
      await session.rpc.mode.set({ mode: 'plan' });
      // The server then tells the model by a message of its own that the mode has changed, so the script is not asked again.
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toContain('Hello from the test model!');
      expect(await session.rpc.mode.get()).toBe('interactive');
    });
    expect(asked).toEqual(['S']);
  }, 60_000);

  it('elicitations', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(
        bench.config({ onElicitationRequest: async () => ({ action: 'accept', content: { a: 1 } }) }),
      );
      expect(session.capabilities.ui?.elicitation).toBe(true);
      const requestedSchema = { type: 'object' as const, properties: { a: { type: 'number' as const } } };
      expect(await session.ui.elicitation({ message: 'm', requestedSchema })).toEqual({
        action: 'accept',
        content: { a: 1 },
      });
    });
  }, 60_000);

  it('another model', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      await session.setModel('other-model');
      await session.sendAndWait({ prompt: word });
    });
    expect((await bench.model.requests(word)).map((request) => request.model)).toEqual(['other-model']);
  }, 60_000);

  it('what is known of sessions, and their lifecycle', async () => {
    await bench.client(async (client) => {
      const lifecycle: string[] = [];
      client.onLifecycle((event) => void lifecycle.push(`${event.type} ${event.sessionId}`));
      const session = await client.createSession(bench.config());
      const id = session.sessionId;
      await session.sendAndWait({ prompt: word });
      expect((await client.getAuthStatus()).isAuthenticated).toBe(false);
      expect((await client.getSessionMetadata(id))?.sessionId).toBe(id);
      expect(await client.getLastSessionId()).toBe(id);
      await session.disconnect();
      await client.deleteSession(id);
      await waitFor('the lifecycle is reported', () => lifecycle.includes(`session.deleted ${id}`));
      expect(lifecycle).toContain(`session.created ${id}`);
    });
  }, 60_000);

  it('an abort in the middle of a turn', async () => {
    await bench.model.say({ match: word, steps: [{ text: 'one two three four', delayMs: 3000, chunks: 4 }] });
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const turn = session.sendAndWait({ prompt: word });
      await waitFor('the model is asked', async () => (await bench.model.requests(word)).length > 0);
      await session.abort();
      await turn;
      expect((await session.sendAndWait({ prompt: 'and now?' }))?.data.content).toContain('and now?');
    });
    expect((await bench.model.requests(word))[0]?.outcome).toBe('aborted');
  }, 60_000);

  it('a provider whose bearer token the client knows', async () => {
    let asked = 0;
    await bench.client(async (client) => {
      const bearerTokenProvider = async () => {
        asked += 1;
        return 'fresh';
      };
      const { apiKey: _, ...provider } = bench.binding.provider ?? { baseUrl: '' };
      const session = await client.createSession(bench.config({ provider: { ...provider, bearerTokenProvider } }));
      await session.sendAndWait({ prompt: word });
    });
    expect(asked).toBeGreaterThan(0);
    expect((await bench.model.requests(word))[0]?.headers['authorization']).toBe('Bearer fresh');
  }, 60_000);

  it('two sessions at once', async () => {
    await bench.client(async (client) => {
      const sessions = await Promise.all(['a', 'b'].map(() => client.createSession(bench.config({ streaming: true }))));
      const answers = await Promise.all(
        sessions.map((session, index) => session.sendAndWait({ prompt: `number ${index} ${word}` })),
      );
      expect(answers.map((answer) => answer?.data.content)).toEqual([
        expect.stringContaining('number 0'),
        expect.stringContaining('number 1'),
      ]);
    });
  }, 60_000);

  it('a session of its own id, created again: it goes on', async () => {
    const sessionId = `own-${word}`;
    for (const prompt of ['first', 'second']) {
      await bench.client(async (client) => {
        const session = await client.createSession(bench.config({ sessionId }));
        await session.sendAndWait({ prompt: `${prompt} ${word}` });
        await session.disconnect();
      });
    }
    const [, second] = await bench.model.requests(word);
    expect(second?.roles?.filter((role) => role === 'user')).toHaveLength(2);
  }, 60_000);

  it('mode "empty"', async () => {
    const connection = RuntimeConnection.forUri(`${bench.gateway.host}:${bench.gateway.port}`, {
      connectionToken: bench.binding.token,
    });
    const client = new CopilotClient({ connection, mode: 'empty' });
    try {
      await client.start();
      const session = await client.createSession(bench.config({ availableTools: ['view'] }));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toContain(word);
    } finally {
      expect(await client.stop()).toEqual([]);
    }
    expect((await bench.model.requests(word))[0]?.tools).toEqual(['view']);
  }, 60_000);

  it('attachments and immediate prompts', async () => {
    await bench.model.say({ match: word, steps: [{ text: 'one two three', delayMs: 300, chunks: 3 }] });
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const turn = session.sendAndWait({
        prompt: word,
        attachments: [{ type: 'blob', data: Buffer.from('text').toString('base64'), mimeType: 'text/plain' }],
      });
      await waitFor('the model is asked', async () => (await bench.model.requests(word)).length > 0);
      await session.send({ prompt: `steer ${word}`, mode: 'immediate' });
      await turn;
      const prompts = (await session.getEvents()).filter(({ type }) => type === 'user.message');
      expect(prompts).toHaveLength(2);
    });
  }, 60_000);

  it('commands of the client, which the server knows and has run', async () => {
    const said: string[] = [];
    await bench.client(async (client) => {
      const commands = [
        { name: 'mine', description: 'x', handler: ({ args }: { args: string }) => void said.push(args) },
      ];
      const session = await client.createSession(bench.config({ commands }));
      const { commands: known } = await session.rpc.commands.list();
      expect(known.map(({ name }) => name)).toContain('mine');
      await session.rpc.commands.invoke({ name: 'mine', input: 'now' });
    });
    expect(said).toEqual(['now']);
  }, 60_000);

  it('tools of an MCP server over HTTP', async () => {
    await using mcp = await McpListener.start('lookup');
    await callTool('mine-lookup', {});
    await bench.client(async (client) => {
      const mcpServers = { mine: { type: 'http' as const, url: mcp.url, tools: ['*'] } };
      const session = await client.createSession(bench.config({ mcpServers }));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
    });
    expect((await toolResults()).join()).toContain('found');
  }, 60_000);

  it('sub-agents and agents of the client', async () => {
    const sub = randomUUID();
    const task = { description: 'look', prompt: `${sub} look`, agent_type: 'finder', name: 'sub', mode: 'sync' };
    await bench.model.say({ match: sub, steps: [{ text: 'looked' }] });
    await callTool('task', task);
    await bench.client(async (client) => {
      const customAgents = [{ name: 'finder', displayName: 'Finder', description: 'finds', prompt: 'You find.' }];
      const session = await client.createSession(bench.config({ customAgents }));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
    });
    expect(await bench.model.requests(sub)).not.toEqual([]);
  }, 60_000);

  it('compaction', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      await session.sendAndWait({ prompt: word });
      await session.sendAndWait({ prompt: `more ${word}` });
      expect(await session.rpc.history.compact({})).toMatchObject({ success: true });
      expect((await session.sendAndWait({ prompt: 'after' }))?.data.content).toContain('after');
    });
  }, 60_000);

  it('a method that the server lacks', async () => {
    await bench.client(async (client) => {
      const expected = { code: -32601, message: 'Unhandled method session.bogus' };
      await expect(request(client, 'session.bogus', {})).rejects.toMatchObject(expected);
      await expect(request(client, 'runtime.shutdown', {})).rejects.toMatchObject({ code: -32601 });
    });
  }, 60_000);
});
