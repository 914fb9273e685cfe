// The login of a tenant's model in the sessions of the real Node SDK, on both real servers: the model endpoint says which key it was sent.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { approveAll, type CopilotSession, type ProviderConfig, type SessionConfig } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { ModelUnavailableError, type SessionModel } from '../../../src/gateway/model.ts';
import { TestModel } from '../../support/model.ts';
import { RawCalls } from '../../support/raw-calls.ts';
import { clientTool, RelayBench, request, toolCall } from '../../support/relay-bench.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const socketsBefore = openSockets();

describe.each(['cli', 'runtime'] as const)('a session of a tenant with a login of its own (%s)', (binary) => {
  let bench: RelayBench;
  /** The endpoint of somebody else. */
  let foreign: TestModel;
  const keys: string[] = [];
  /** How often the present key was read. */
  let reads = 0;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, { modelReadMs: 100 });
    foreign = await TestModel.start();
  }, 90_000);
  afterAll(async () => {
    foreign[Symbol.dispose]();
    await bench[Symbol.asyncDispose]();
    await socketsLeft(socketsBefore);
  });
  beforeEach(() => void hasKey());

  const providerOf = (model: TestModel, apiKey: string): ProviderConfig => ({
    baseUrl: '',
    ...model.bind(bench.gateway, '').provider,
    apiKey,
  });

  /** What the tenant's Secret has; undefined: it cannot be read. */
  let secret: string | undefined;

  /** The tenant has a new key, which is returned. */
  function hasKey(): string {
    const key = newKey();
    reads = 0;
    bench.gateway.fleet.change({ model: { read: () => readKey() } });
    return key;
  }

  /** Only the value in its Secret is a new one. */
  function newKey(): string {
    secret = `sk-${randomUUID()}`;
    keys.push(secret);
    return secret;
  }

  async function readKey(): Promise<SessionModel> {
    reads += 1;
    if (secret === undefined) throw new ModelUnavailableError('see the condition ModelConfigured');
    const provider = { ...providerOf(bench.model, secret), headers: { 'x-team': secret.slice(-4) } };
    return { login: { provider }, defaultModel: 'model-of-the-tenant' };
  }

  const plain = (changes: Partial<SessionConfig> = {}): SessionConfig => ({
    onPermissionRequest: approveAll,
    ...changes,
  });

  /** What the tenant's endpoint was sent about one prompt. */
  async function sent(session: CopilotSession, word: string = randomUUID()) {
    await session.sendAndWait({ prompt: word });
    return sentAbout(word);
  }
  async function sentAbout(word: string) {
    return (await bench.model.requests(word)).map(({ model, headers }) => ({
      model,
      key: headers['authorization'],
      team: headers['x-team'],
      own: headers['x-own'],
    }));
  }
  const by = (key: string, model = 'model-of-the-tenant') => [
    { model, key: `Bearer ${key}`, team: key.slice(-4), own: undefined },
  ];

  it('uses provider and model of the tenant where its client states none', async () => {
    const key = hasKey();
    await bench.client(async (client) => {
      const session = await client.createSession(plain());
      expect(await sent(session)).toEqual(by(key));
      await session.disconnect();
      // A resume restores the model, and the provider is put into it again.
      const resumed = await client.resumeSession(session.sessionId, plain());
      expect(await sent(resumed)).toEqual(by(key));
    });
  }, 60_000);

  it('uses the provider of the tenant as a whole where its client states another, which is sent nothing', async () => {
    const key = hasKey();
    const provider = { ...providerOf(foreign, 'sk-own'), headers: { 'x-own': 'yes' } };
    const words = [randomUUID(), randomUUID()];
    await bench.client(async (client) => {
      const session = await client.createSession(plain({ provider, model: 'model-of-the-client' }));
      expect(await sent(session, words[0])).toEqual(by(key, 'model-of-the-client'));
      const { sessionId } = session;
      await request(client, 'session.options.update', { sessionId, provider, model: 'next-model' });
      expect(await sent(session, words[1])).toEqual(by(key, 'next-model'));
      await request(client, 'session.options.update', { sessionId, provider: null });
      await session.setModel('last-model');
      expect(await sent(session)).toEqual(by(key, 'last-model'));
    });
    expect(await foreign.requests('')).toEqual([]);
  }, 60_000);

  it('refuses calls that do nothing but set another login, and names the rule', async () => {
    await bench.client(async (client) => {
      const { sessionId } = await client.createSession(plain());
      const add = { sessionId, providers: [{ name: 'own', ...providerOf(foreign, 'sk-own') }] };
      await expect(request(client, 'session.provider.add', add)).rejects.toThrow('by the rule TenantLogin');
      const credentials = { type: 'token', host: 'https://github.com', token: 'gho_own' };
      const set = request(client, 'session.gitHubAuth.setCredentials', { sessionId, credentials });
      await expect(set).rejects.toThrow('by the rule TenantLogin');
    });
  }, 60_000);

  it('gets a rotated key while it lives, also while its turn waits for a tool of the client', async () => {
    const first = hasKey();
    const word = await bench.answer(toolCall('lookup', { q: 'x' }), { text: 'done' });
    let next = '';
    const lookup = clientTool('lookup', async () => {
      next = hasKey();
      // What is told to the server then is before the result of the tool.
      await waitFor('the next key is read', () => reads > 0);
      return 'result';
    });
    await bench.client(async (client) => {
      const session = await client.createSession(plain({ tools: [lookup] }));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      // The turn may end with the key that it began with.
      expect((await sentAbout(word))[0]).toEqual(by(first)[0]);
      expect(await sent(session)).toEqual(by(next));
      // A Secret that changes is noticed by reading it again and again.
      const last = newKey();
      await waitFor('the last key', async () => (await sent(session))[0]?.key === `Bearer ${last}`);
    });
  }, 60_000);

  it('that its server has unloaded without a word has its tools, and the key of now, with its next prompt', async () => {
    hasKey();
    const tools = [clientTool('lookup', () => 'found')];
    await bench.client(async (client) => {
      const session = await client.createSession(plain({ tools, excludedTools: ['bash'] }));
      await sent(session);
      using another = await RawCalls.open({ host: bench.server.host, port: bench.server.port, token: bench.token });
      await another.result('sessions.close', { sessionId: session.sessionId });
      const key = hasKey();
      // One server says that it unloads it, the other is asked with the next key, and must not load it for that.
      const known = () => bench.gateway.snapshot.sessions.find(({ id }) => id === session.sessionId);
      await waitFor('the session is known to be unloaded', () => known()?.state === 'Unloaded');
      const word = randomUUID();
      expect(await sent(session, word)).toEqual(by(key));
      const [offered] = (await bench.model.requests(word)).map((each) => each.tools);
      expect(offered).toContain('lookup');
      expect(offered).not.toContain('bash');
    });
  }, 60_000);

  it('has the key of now after a restart of its server, whatever its client had declared', async () => {
    hasKey();
    await bench.client(async (client) => {
      const session = await client.createSession(plain({ provider: providerOf(foreign, 'sk-own') }));
      await sent(session);
      await bench.server.kill();
      const key = hasKey();
      await bench.server.start();
      expect(await waitFor('an answer', () => sent(session), { withinMs: 30_000 })).toEqual(by(key));
    });
  }, 90_000);

  it('is not made while the key cannot be read, and the client is told where to look', async () => {
    secret = undefined;
    await bench.client(async (client) => {
      const create = client.createSession(plain({ provider: providerOf(foreign, 'sk-own') }));
      await expect(create).rejects.toThrow('see the condition ModelConfigured');
      hasKey();
      await client.createSession(plain());
    });
    expect(await bench.gateway.metric('copilot_gateway_refused_calls_total', { reason: 'ModelUnavailable' })).toBe(1);
  }, 60_000);

  it('of a Shared tenant has the login and no tool of the server, also with the next key and after a restart, for its user only', async () => {
    const first = hasKey();
    bench.gateway.fleet.change({ isolation: 'Shared' });
    const words = [randomUUID(), randomUUID(), randomUUID()] as const;
    try {
      await bench.clientOf('alice', async (alice) => {
        const tools = [clientTool('lookup', () => 'found')];
        const session = await alice.createSession(plain({ tools, provider: providerOf(foreign, 'sk-own') }));
        expect(await sent(session, words[0])).toEqual(by(first));
        const second = hasKey();
        await waitFor('the second key', async () => (await sent(session))[0]?.key === `Bearer ${second}`);
        expect(await sent(session, words[1])).toEqual(by(second));
        await bench.server.kill();
        const third = hasKey();
        await bench.server.start();
        const again = () => sent(session, words[2]);
        expect(await waitFor('an answer', again, { withinMs: 30_000 })).toEqual(by(third));
        for (const word of words) {
          expect((await bench.model.requests(word)).map(({ tools: offered }) => offered)).toEqual([['lookup']]);
        }
        await bench.clientOf('bob', async (bob) => {
          expect(await bob.listSessions()).toEqual([]);
          const resuming = bob.resumeSession(session.sessionId, plain({ provider: providerOf(foreign, 'sk-own') }));
          await expect(resuming).rejects.toThrow('Session not found');
        });
      });
    } finally {
      bench.gateway.fleet.change({ isolation: 'Dedicated' });
    }
    expect(await foreign.requests('')).toEqual([]);
  }, 120_000);

  it('shows the key neither to its agent nor in its events, nor in the log and metrics of the gateway', async () => {
    hasKey();
    const word = await bench.answer(toolCall('bash', { command: 'env', description: 'env' }), { text: 'done' });
    await bench.client(async (client) => {
      const session = await client.createSession(plain());
      const events: unknown[] = [];
      session.on((event) => void events.push(event));
      await session.sendAndWait({ prompt: word });
      expect(await bench.toolResults(word)).toContain('HOME=');
      const shown = JSON.stringify([
        events,
        await session.getEvents(),
        bench.gateway.log,
        await bench.gateway.metrics(),
      ]);
      for (const key of keys) expect(shown).not.toContain(key);
    });
  }, 60_000);
});
