// The GitHub token of a tenant in the sessions of the real Node SDK, on both real servers, which have no login of their own.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  approveAll,
  type CopilotClient,
  type CopilotSession,
  type ProviderConfig,
  type SessionConfig,
} from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import type { SessionModel } from '../../../src/gateway/model.ts';
import { TestGitHub } from '../../support/github.ts';
import { McpListener } from '../../support/mcp-listener.ts';
import { clientTool, RelayBench, toolCall } from '../../support/relay-bench.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const socketsBefore = openSockets();

describe.each(['cli', 'runtime'] as const)('a session of a tenant with a GitHub token (%s)', (binary) => {
  let bench: RelayBench;
  let github: TestGitHub;
  let token: string;
  /** In place of the token. */
  let provider: ProviderConfig | undefined;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, { modelReadMs: 100 }, {}, async (model) => {
      github = await TestGitHub.start(model);
      return github.env;
    });
    const read = async (): Promise<SessionModel> => ({
      login: provider === undefined ? { gitHubToken: token } : { provider },
    });
    bench.gateway.fleet.change({ model: { read } });
  }, 90_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await github[Symbol.asyncDispose]();
    await socketsLeft(socketsBefore);
  });

  /** The Secret of the tenant has a new token. */
  function rotate(): string {
    github.requests.length = 0;
    token = `gho_${randomUUID()}`;
    return token;
  }
  /** With which tokens this was requested; sessions of before may have asked something else meanwhile. */
  const tokensOf = (what: string) => [
    ...new Set(github.requests.filter((request) => request.what === what).map((request) => request.token)),
  ];
  const create = (client: CopilotClient, changes: Partial<SessionConfig> = {}) =>
    client.createSession({ onPermissionRequest: approveAll, model: 'large', gitHubToken: 'gho_own', ...changes });
  async function sentBy(session: CopilotSession, prompt: string = randomUUID()): Promise<string | undefined> {
    await session.sendAndWait({ prompt });
    return (await bench.model.requests(prompt)).at(-1)?.headers['authorization']?.toString();
  }

  it('calls GitHub and its models by the token of the tenant, whatever its client states, and by the next one', async () => {
    const first = rotate();
    await bench.client(async (client) => {
      const session = await create(client);
      expect(await sentBy(session)).toBe(`Bearer ${first}`);
      expect(tokensOf('GET /copilot_internal/user')).toEqual([first]);
      expect(github.requests.map((request) => request.token)).not.toContain('gho_own');
      const next = rotate();
      await waitFor('the next token', async () => (await sentBy(session)) === `Bearer ${next}`, { withinMs: 30_000 });
    });
  }, 60_000);

  it('goes over to a provider and back while it lives, with its tools, and hears nothing of that', async () => {
    const first = rotate();
    const tools = [clientTool('lookup', () => 'found')];
    await bench.client(async (client) => {
      const session = await create(client, { tools });
      const events: string[] = [];
      session.on(({ type }) => void events.push(type));
      expect(await sentBy(session)).toBe(`Bearer ${first}`);
      const apiKey = `sk-${randomUUID()}`;
      provider = { ...(bench.binding.provider as ProviderConfig), apiKey };
      await waitFor('the key', async () => (await sentBy(session)) === `Bearer ${apiKey}`);
      const next = rotate();
      provider = undefined;
      const word = await bench.answer(toolCall('lookup', { q: 'x' }), { text: 'done' });
      await waitFor('the token', async () => (await sentBy(session)) === `Bearer ${next}`);
      expect(await sentBy(session, word)).toBe(`Bearer ${next}`);
      expect(await bench.toolResults(word)).toContain('found');
      expect(events).not.toContain('session.shutdown');
      expect(events).not.toContain('session.error');
    });
  }, 120_000);

  it('calls them by the token of now after a restart of its server', async () => {
    rotate();
    await bench.client(async (client) => {
      const session = await create(client);
      await sentBy(session);
      await bench.server.kill();
      const next = rotate();
      await bench.server.start();
      expect(await waitFor('an answer', () => sentBy(session), { withinMs: 30_000 })).toBe(`Bearer ${next}`);
    });
  }, 90_000);

  it('can choose among the models that the token may use', async () => {
    const own = rotate();
    await bench.client(async (client) => expect((await client.listModels()).map(({ id }) => id)).toContain('large'));
    expect(tokensOf('GET /models')).toEqual([own]);
  }, 60_000);

  it('does not send the token to MCP servers of its client, whatever these are said to be', async () => {
    const own = rotate();
    await using mcp = await McpListener.start('lookup');
    const said = { isDefaultServer: true, auth: true, oidc: true };
    const server = (path: string) => ({ type: 'http' as const, url: `${mcp.url}/${path}`, tools: ['*'], ...said });
    // One asks for a login first, by which a server might be led to show one.
    const mcpServers = {
      mine: server('open'),
      'github-mcp-server': server('open'),
      asks: server('login'),
    };
    const steps = ['mine', 'github-mcp-server'].map((name) => toolCall(`${name}-lookup`, {}));
    const word = await bench.answer(...steps, { text: 'done' });
    await bench.client(async (client) => {
      const session = await create(client, { mcpServers });
      expect(await sentBy(session, word)).toBe(`Bearer ${own}`);
    });
    expect(await bench.toolResults(word)).toContain('found,found');
    await waitFor('the one that asks for a login', () => mcp.requests.some(({ url }) => url.endsWith('/login')));
    expect(JSON.stringify(mcp.requests)).not.toContain(own);
  }, 60_000);

  it('does not show the token to its agent', async () => {
    const own = rotate();
    const word = await bench.answer(toolCall('bash', { command: 'env', description: 'env' }), { text: 'done' });
    await bench.client(async (client) => expect(await sentBy(await create(client), word)).toBe(`Bearer ${own}`));
    expect(await bench.toolResults(word)).toContain('HOME=');
    expect(await bench.toolResults(word)).not.toContain(own);
  }, 60_000);
});
