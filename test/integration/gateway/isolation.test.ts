// Users who are kept apart, with the real Node SDK on both real servers: what each finds, what an agent may do, and what outlasts a restart.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CopilotClient, RuntimeConnection } from '@github/copilot-sdk';
import { STAMP_KEY } from '../../../src/gateway/ownership/stamp.ts';
import { GatewayInProcess, bindingTokenFor } from '../../support/gateway.ts';
import { withClient } from '../../support/chat.ts';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';
import { stampKey } from '../../support/static-ownership.ts';
import { RawCalls } from '../../support/raw-calls.ts';
import { waitFor } from '../../support/wait.ts';

/** Reads the server's connection token and asks the server itself for what was said in a session: what an agent with a shell can do. */
const READ_SESSION = join(import.meta.dirname, '../../support/read-session.mjs');

describe.each(['cli', 'runtime'] as const)('users of one server (%s)', (binary) => {
  let shared: RelayBench;
  let trusted: RelayBench;

  beforeAll(async () => {
    shared = await RelayBench.start(binary, {}, { isolation: 'Shared' });
    trusted = await RelayBench.start(binary, {}, { isolation: 'SharedTrusted' });
  }, 180_000);
  afterAll(async () => {
    await shared[Symbol.asyncDispose]();
    await trusted[Symbol.asyncDispose]();
  });

  /** A session of the user that has had one turn. */
  async function made(bench: RelayBench, user: string, sessionId: string): Promise<void> {
    await bench.clientOf(user, async (client) => {
      const session = await client.createSession(bench.config({ sessionId }));
      await session.sendAndWait({ prompt: `said by ${user} in ${sessionId}` });
    });
  }

  const idsOf = (bench: RelayBench, user: string) =>
    bench.clientOf(user, async (client) => (await client.listSessions()).map(({ sessionId }) => sessionId).toSorted());

  /** As an application of the server itself would, around the gateway. */
  const direct = (bench: RelayBench) =>
    RawCalls.open({ host: bench.server.host, port: bench.server.port, token: bench.token });

  it('each lists, remembers and hears of the own sessions only', async () => {
    await shared.clientOf('bob', async (bob) => {
      const heard: string[] = [];
      bob.onLifecycle(({ sessionId }) => void heard.push(sessionId));
      await made(shared, 'bob', 'lists-b');
      await made(shared, 'alice', 'lists-a');
      expect(await idsOf(shared, 'alice')).toContain('lists-a');
      expect(await idsOf(shared, 'alice')).not.toContain('lists-b');
      expect((await bob.listSessions()).map(({ sessionId }) => sessionId)).toEqual(['lists-b']);
      // Alice's is newer.
      expect(await bob.getLastSessionId()).toBe('lists-b');
      await shared.clientOf('alice', (alice) => alice.deleteSession('lists-a'));
      await made(shared, 'bob', 'lists-c');
      await waitFor('bob hears of his own', () => heard.includes('lists-c'));
      expect(heard).not.toContain('lists-a');
    });
  }, 120_000);

  it('nobody resumes, reads, deletes or makes again the session of somebody else, and it stays as it was', async () => {
    await made(shared, 'alice', 'hers');
    await shared.clientOf('bob', async (bob) => {
      await expect(bob.resumeSession('hers', shared.config())).rejects.toThrow('Session not found: hers');
      await expect(request(bob, 'session.getMessages', { sessionId: 'hers' })).rejects.toThrow(
        'Session not found: hers',
      );
      await expect(bob.deleteSession('hers')).rejects.toThrow('Session file not found for hers');
      await expect(bob.createSession(shared.config({ sessionId: 'hers' }))).rejects.toMatchObject({
        data: { rule: 'SessionIdTaken' },
      });
    });
    await shared.clientOf('alice', async (alice) => {
      const session = await alice.resumeSession('hers', shared.config());
      const asked = (await session.getEvents()).filter(({ type }) => type === 'user.message');
      expect(asked).toHaveLength(1);
      expect((await session.sendAndWait({ prompt: 'again' }))?.data.content).toContain('again');
    });
  }, 120_000);

  it('an id is free again after its session was deleted, and is then whose it was made by', async () => {
    await made(shared, 'alice', 'freed');
    await shared.clientOf('alice', (alice) => alice.deleteSession('freed'));
    await made(shared, 'bob', 'freed');
    expect(await idsOf(shared, 'bob')).toContain('freed');
    await shared.clientOf('alice', async (alice) => {
      await expect(alice.resumeSession('freed', shared.config())).rejects.toThrow('Session not found');
    });
  }, 120_000);

  it('each may have as many sessions as the tenant allows, also after the gateway was started anew', async () => {
    const limits = { maxPerUser: 2 };
    shared.gateway.fleet.change({ limits });
    try {
      const refused = { code: -32053, data: expect.objectContaining({ rule: 'MaxPerUser', limit: 2 }) };
      const create = (user: string, at = shared, sessionId?: string) =>
        at.clientOf(user, (client) => client.createSession(at.config(sessionId === undefined ? {} : { sessionId })));
      await made(shared, 'erin', 'first-of-erin');
      // Of three at once, one finds room.
      const outcomes = await Promise.allSettled([1, 2, 3].map(() => create('erin')));
      const reasons = outcomes.filter((each) => each.status === 'rejected').map(({ reason }) => reason as unknown);
      expect(reasons).toEqual([expect.objectContaining(refused), expect.objectContaining(refused)]);
      await made(shared, 'dave', 'of-dave');
      await made(shared, 'dave', 'second-of-dave');
      const { host, port } = shared.server;
      await using later = await GatewayInProcess.start({
        isolation: 'Shared',
        server: { host, port },
        token: shared.token,
      });
      later.fleet.change({ limits });
      const binding = { ...shared.model.bind(later, ''), token: bindingTokenFor('dave') };
      await withClient(binding, async (dave) => {
        await expect(dave.createSession(shared.config())).rejects.toMatchObject(refused);
        await dave.deleteSession('of-dave');
        await dave.createSession(shared.config());
      });
    } finally {
      shared.gateway.fleet.change({ limits: {} });
    }
  }, 120_000);

  it('of two who make the same id at the same time one has it, and the other one is refused', async () => {
    const outcomes = await Promise.allSettled(
      ['alice', 'bob'].map((user) =>
        shared.clientOf(user, (client) => client.createSession(shared.config({ sessionId: 'raced' }))),
      ),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.map(({ reason }) => reason as unknown)).toEqual([
      expect.objectContaining({ data: { rule: 'SessionIdTaken', parameter: 'sessionId' } }),
    ]);
  }, 120_000);

  it('a server has the stamp before the maker has the answer; a gateway that knows nothing believes only stamps', async () => {
    await made(shared, 'alice', 'stamped');
    using server = await direct(shared);
    const stampOf = async (sessionId: string) => {
      const [found] = (await server.result('sessions.getClientMetadata', {
        sessionIds: [sessionId],
        keys: [STAMP_KEY],
      })) as unknown as { metadata: Record<string, string> }[];
      return found?.metadata[STAMP_KEY] ?? '';
    };
    await made(shared, 'bob', 'forged');
    expect(await stampOf('stamped')).toMatch(/^v1\./);
    // What an agent with a shell can do: the stamp of one session on another one, or none.
    await server.result('session.create', { sessionId: 'unstamped', ...shared.config() });
    await server.result('session.resume', { sessionId: 'forged', disableResume: true });
    const set = { [STAMP_KEY]: await stampOf('stamped') };
    await server.result('session.metadata.updateClientMetadata', { sessionId: 'forged', set });

    const at = { server: { host: shared.server.host, port: shared.server.port }, token: shared.token };
    await using another = await GatewayInProcess.start({ ...at, isolation: 'Shared' });
    const as = <T>(user: string, use: Parameters<typeof withClient<T>>[1]) =>
      withClient<T>({ ...shared.binding, port: another.port, token: bindingTokenFor(user) }, use);
    await as('alice', async (alice) => {
      expect((await alice.listSessions()).map(({ sessionId }) => sessionId)).toContain('stamped');
      for (const sessionId of ['forged', 'unstamped']) {
        await expect(alice.resumeSession(sessionId, shared.config())).rejects.toThrow('Session not found');
        await expect(alice.createSession(shared.config({ sessionId }))).rejects.toMatchObject({
          data: { rule: 'SessionIdTaken' },
        });
      }
    });
    await as('bob', async (bob) => {
      await expect(bob.resumeSession('forged', shared.config())).rejects.toThrow('Session not found');
    });
    // A new key signs what its owner uses, the former one is good until it is removed.
    another.ownership.keyList = [stampKey('second'), stampKey('first')];
    const before = await stampOf('stamped');
    await as('alice', async (alice) => void (await alice.resumeSession('stamped', shared.config())));
    expect(await stampOf('stamped')).not.toBe(before);
    another.ownership.keyList = [stampKey('second')];
    await as('alice', async (alice) => {
      expect((await alice.listSessions()).map(({ sessionId }) => sessionId)).toEqual(['stamped']);
    });
  }, 120_000);

  it('a CopilotSession reserves its id, and its participants use the session as long as it names them', async () => {
    const { ownership } = shared.gateway;
    ownership.record('reserved', { owner: 'alice', participants: ['carol'] });
    await shared.clientOf('bob', async (bob) => {
      const making = bob.createSession(shared.config({ sessionId: 'reserved' }));
      await expect(making).rejects.toMatchObject({ data: { rule: 'SessionIdTaken' } });
    });
    await made(shared, 'alice', 'reserved');
    await shared.clientOf('carol', async (carol) => {
      expect((await carol.listSessions()).map(({ sessionId }) => sessionId)).toEqual(['reserved']);
      const session = await carol.resumeSession('reserved', shared.config());
      expect((await session.sendAndWait({ prompt: 'by carol' }))?.data.content).toContain('by carol');
      const seen: string[] = [];
      session.on('user.message', ({ data }) => void seen.push(data.content));
      ownership.record('reserved', { owner: 'alice', participants: [] });
      await expect(session.send({ prompt: 'no more' })).rejects.toThrow('Session not found');
      await shared.clientOf('alice', async (alice) => {
        const hers = await alice.resumeSession('reserved', shared.config());
        await hers.sendAndWait({ prompt: 'only for alice' });
      });
      expect(seen).toEqual([]);
      expect(await carol.listSessions()).toEqual([]);
    });
    // An object that somebody makes later takes nothing away.
    ownership.record('reserved', { owner: 'bob', participants: ['bob'] });
    await shared.clientOf('bob', async (bob) => {
      await expect(bob.resumeSession('reserved', shared.config())).rejects.toThrow('Session not found');
    });
  }, 120_000);

  it('a session from before the isolation is of the user whom its CopilotSession and its label name, and is stamped', async () => {
    using server = await direct(shared);
    for (const sessionId of ['older', 'nobodys']) {
      await server.result('session.create', { sessionId, ...shared.config(), tools: [] });
      await server.result('session.send', { sessionId, prompt: 'from before' });
      const set = { 'copilot-operator.dev/owner': 'alice' };
      await server.result('session.metadata.updateClientMetadata', { sessionId, set });
      const isDone = async () =>
        JSON.stringify(await server.result('session.getMessages', { sessionId })).includes('You said: from before');
      await waitFor('the turn of before', isDone, { withinMs: 60_000 });
    }
    shared.gateway.ownership.record('older', { owner: 'alice', participants: [] });
    await shared.clientOf('bob', async (bob) => {
      await expect(bob.resumeSession('older', shared.config())).rejects.toThrow('Session not found');
    });
    await shared.clientOf('alice', async (alice) => {
      await expect(alice.resumeSession('nobodys', shared.config())).rejects.toThrow('Session not found');
      const session = await alice.resumeSession('older', shared.config());
      expect((await session.getEvents()).filter(({ type }) => type === 'user.message')).toHaveLength(1);
    });
    shared.gateway.ownership.record('older', undefined);
    expect(await idsOf(shared, 'alice')).toContain('older');
    await using another = await GatewayInProcess.start({
      server: { host: shared.server.host, port: shared.server.port },
      token: shared.token,
      isolation: 'Shared',
    });
    await withClient({ ...shared.binding, port: another.port, token: bindingTokenFor('alice') }, async (alice) => {
      await alice.resumeSession('older', shared.config());
    });
  }, 120_000);

  it('in a Shared tenant the model is offered no tool of the server, also after the session was loaded again', async () => {
    const tools = { tools: [clientTool('lookup', () => 'found')] };
    const offered = async (word: string) => (await shared.model.requests(word)).map(({ tools: all }) => all);
    const [first, second, third] = [
      await shared.answer({ text: 'done' }),
      await shared.answer({ text: 'done' }),
      await shared.answer({ text: 'done' }),
    ];
    await shared.clientOf('alice', async (alice) => {
      const session = await alice.createSession(shared.config({ sessionId: 'toolless', ...tools }));
      await session.sendAndWait({ prompt: first });
    });
    using server = await direct(shared);
    await server.result('sessions.close', { sessionId: 'toolless' });
    await shared.clientOf('alice', async (alice) => {
      const session = await alice.resumeSession('toolless', shared.config(tools));
      await session.sendAndWait({ prompt: second });
      await server.result('sessions.close', { sessionId: 'toolless' });
      await session.sendAndWait({ prompt: third });
    });
    expect(await offered(first)).toEqual([['lookup']]);
    expect(await offered(second)).toEqual([['lookup']]);
    expect(await offered(third)).toEqual([['lookup']]);
  }, 120_000);

  it('in a Shared tenant an SDK in the mode "empty" works as it does directly, with the tools that it brings', async () => {
    const { host, port } = shared.gateway;
    const connection = RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: bindingTokenFor('alice') });
    const client = new CopilotClient({ connection, mode: 'empty' });
    const word = await shared.answer(toolCall('lookup', { q: 'abc' }), { text: 'done' });
    try {
      await client.start();
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const session = await client.createSession(shared.config({ availableTools: ['custom:*'], tools }));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      expect(await shared.toolResults(word)).toContain('found abc');
    } finally {
      await client.stop();
    }
  }, 60_000);

  it.each<[string, object, string]>([
    ['availableTools', { availableTools: ['builtin:bash'] }, 'AgentTools'],
    ['mcpServers', { mcpServers: { x: { type: 'local', command: 'sh', args: [], tools: ['*'] } } }, 'AgentRights'],
    ['workingDirectory', { workingDirectory: '/tmp' }, 'AgentRights'],
    ['skipCustomInstructions', { skipCustomInstructions: false }, 'AgentTools'],
  ])(
    'in a Shared tenant a client that wants %s is refused by the name of the rule',
    async (parameter, config, rule) => {
      await shared.clientOf('alice', async (alice) => {
        const making = alice.createSession(shared.config(config));
        await expect(making).rejects.toMatchObject({ code: -32602, data: { rule, parameter } });
      });
    },
  );

  it('an agent reaches the session of somebody else in a SharedTrusted tenant, and has no tool for that in a Shared one', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'copilot-operator-loopback-'));
    try {
      const output = join(directory, 'found');
      for (const [bench, isReached] of [
        [shared, false],
        [trusted, true],
      ] as const) {
        writeFileSync(output, '');
        await made(bench, 'bob', 'target');
        const command = `node ${READ_SESSION} ${bench.server.port} target > ${output}`;
        const word = await bench.answer(toolCall('bash', { command, description: 'x' }), { text: 'done' });
        await bench.clientOf('alice', async (alice) => {
          const session = await alice.createSession(bench.config());
          expect((await session.sendAndWait({ prompt: word }, 60_000))?.data.content).toBe('done');
        });
        expect(readFileSync(output, 'utf8').includes('said by bob in target')).toBe(isReached);
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }, 180_000);

  it('whoever states no user is not admitted, and who is connected has to connect again when the isolation changes', async () => {
    await using gateway = await GatewayInProcess.start({
      server: { host: shared.server.host, port: shared.server.port },
      token: shared.token,
    });
    const token = bindingTokenFor('alice');
    using calls = await RawCalls.open({ host: gateway.host, port: gateway.port, token });
    await calls.result('status.get', {});
    gateway.fleet.change({ isolation: 'Shared' });
    const closed = () => gateway.log.find(({ msg, reason }) => msg === 'client gone' && reason === 'CredentialRevoked');
    await waitFor('the client is closed', () => closed() !== undefined);
    await expect(withClient({ ...shared.binding, port: gateway.port }, (client) => client.ping('x'))).rejects.toThrow(
      'AUTHENTICATION_FAILED',
    );
    const denied = gateway.log.find(({ msg }) => msg === 'client denied');
    expect(denied).toMatchObject({ reason: 'UserRequired' });
    await withClient({ ...shared.binding, port: gateway.port, token }, async (client) => {
      expect((await client.ping('x')).message).toBe('pong: x');
    });
  }, 60_000);
});
