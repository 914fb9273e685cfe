import { describe, expect, it } from '@jest/globals';
import type { MovableHandler } from '../../../../src/gateway/relay/setup/client-state.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const TOOL = { tools: [{ name: 'lookup' }] };
const RULES = 'session.permissions.modifyRules';

const stateOf = (client: ClientEnd) => (client.handler as MovableHandler).state;

describe('what a home knows of a client', () => {
  it('is what it declared, what was changed since, and what it waits for', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', TOOL);
    client.call(RULES, { sessionId: 's', add: ['r'] });
    world.server.answer(world.server.last(RULES).id, {});
    const sent = client.call('session.send', { sessionId: 's', prompt: 'p' });
    const { id } = world.server.event('s', 'user.message');
    const [read, run] = [client.call('status.get'), client.call('session.shell.exec', { sessionId: 's' })];
    world.server.event('s', 'permission.requested', { requestId: 'r' });
    const session = {
      sessionId: 's',
      declaration: { ...TOOL, sessionId: 's' },
      calls: [{ method: RULES, params: { sessionId: 's', add: ['r'] } }],
      hadTurn: true,
      isIncomplete: false,
      isRunning: true,
      course: {
        trail: [{ id }, {}],
        prompts: [{ callId: sent, isAcknowledged: false, params: { prompt: 'p' } }],
        offered: ['r'],
      },
    };
    const open = { openCalls: [run], repeatable: [{ id: read, method: 'status.get' }] };
    expect(stateOf(client)).toMatchObject({ sessions: [session], ...open });
  });

  it('has no session that was deleted', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    client.call('session.delete', { sessionId: 's' });
    world.server.answer(world.server.last('session.delete').id, {});
    expect(stateOf(client)).toEqual({ sessions: [], openCalls: [], repeatable: [] });
  });
});

describe('a relay that gives a tenant up', () => {
  it('has its sessions unloaded, of which clients hear nothing', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', TOOL);
    const before = client.received.length;
    const unloaded = world.relay.unload(TENANT);
    await settle();
    const { server } = world;
    server.event('s', 'session.shutdown');
    server.answer(server.last('sessions.close').id, {});
    await unloaded;
    expect(client.received.slice(before)).toEqual([]);
    expect(stateOf(client).sessions).toMatchObject([{ sessionId: 's', isRunning: false }]);
    client.leave();
    world.relay.drop(TENANT);
    expect(server.isClosed).toBe(true);
    expect([world.relay.sessions(), world.relay.activity(TENANT)]).toEqual([[], 'Empty']);
  });

  const MODE = 'session.permissions.setMode';
  /** A session without a client, of which one had made these calls before it left, is unloaded for another home. Resolves with the modes that were set then. */
  async function leftWith(...calls: (readonly [method: string, params: object])[]): Promise<unknown[]> {
    const world = new RelayWorld();
    world.answers.set('session.permissions.getMode', (end, { id }) => end.answer(id, { mode: 'allow-all' }));
    for (const method of [MODE, 'session.permissions.modifyRules', 'session.name.set', 'sessions.close'])
      world.answers.set(method, (end, { id }) => end.answer(id, {}));
    const client = await world.attached('s');
    for (const [method, params] of calls) client.call(method, { sessionId: 's', ...params });
    await settle();
    client.leave();
    const before = world.server.count(MODE);
    await world.relay.unload(TENANT);
    const { received } = world.server;
    expect(received.at(-1)?.method).toBe('sessions.close');
    return world.server
      .all(MODE)
      .slice(before)
      .map(({ params }) => params?.['mode']);
  }

  it('has a session ask first whose rules nobody knows any more, and leaves others as they are', async () => {
    const rules = ['session.permissions.modifyRules', { add: [{ kind: 'deny' }] }] as const;
    expect(await leftWith(rules)).toEqual(['manual']);
    expect(await leftWith(rules, [MODE, { mode: 'allow-all' }])).toEqual(['manual']);
    expect(await leftWith([MODE, { mode: 'allow-all' }])).toEqual([]);
    expect(await leftWith(['session.name.set', { name: 'n' }])).toEqual([]);
  });

  it('ends a turn that it cuts', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    world.server.event('s', 'user.message');
    const unloaded = world.relay.unload(TENANT);
    await settle();
    world.server.answer(world.server.last('sessions.close').id, {});
    await unloaded;
    expect(client.events).toEqual(['user.message']);
    expect(stateOf(client).sessions).toMatchObject([{ isRunning: true }]);
  });

  it('closes the connection at once where it must, and dials no more for what is under way', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', TOOL);
    const call = client.call('status.get');
    client.leave();
    world.relay.drop(TENANT);
    await settle();
    expect(world.server.isClosed).toBe(true);
    expect(world.dials).toHaveLength(1);
    expect(client.answer(call)).toBeUndefined();
  });

  it('leaves other tenants alone', async () => {
    const world = new RelayWorld();
    await world.attached('s');
    world.relay.drop({ namespace: 'other', name: 'acme' });
    await world.relay.unload({ namespace: 'other', name: 'acme' });
    expect(world.server.isClosed).toBe(false);
    expect(world.relay.activity(TENANT)).toBe('Idle');
  });

  it('says whether something is under way', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    client.call('session.send', { sessionId: 's', prompt: 'p' });
    expect(world.relay.activity(TENANT)).toBe('Busy');
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    for (const type of ['user.message', 'session.idle']) world.server.event('s', type);
    expect(world.relay.activity(TENANT)).toBe('Idle');
    world.server.event('s', 'assistant.turn_start');
    expect(world.relay.activity(TENANT)).toBe('Busy');
    // Which it does at another home, too, but not when a tool of a client has to answer as well.
    world.server.event('s', 'permission.requested', { requestId: 'r' });
    expect(world.relay.activity(TENANT)).toBe('Idle');
    world.server.event('s', 'external_tool.requested', { requestId: 't', toolName: 'lookup' });
    expect(world.relay.activity(TENANT)).toBe('Busy');
  });
});

describe('a relay that may follow another one', () => {
  it('has a session closed before it is resumed for the first time', async () => {
    const world = new RelayWorld({}, { mayFollow: true });
    world.answers.set('sessions.getMetadata', (end, { id }) => end.answer(id, {}));
    const client = world.client();
    for (const round of [1, 2]) {
      const id = client.call('session.resume', { sessionId: 's' });
      await settle();
      const { server } = world;
      if (round === 1) {
        expect(server.count('session.resume')).toBe(0);
        server.answer(server.last('sessions.close').id, {});
        await settle();
      }
      server.answer(server.last('session.resume').id, { sessionId: 's' });
      await settle();
      expect(client.answer(id)?.result).toEqual({ sessionId: 's' });
    }
    expect(world.server.count('sessions.close')).toBe(1);
  });

  it('goes on when there was nothing to close, and closes none that it makes', async () => {
    const world = new RelayWorld({}, { mayFollow: true });
    world.answers.set('sessions.getMetadata', (end, { id }) => end.answer(id, {}));
    const client = world.client();
    client.call('session.resume', { sessionId: 's' });
    await settle();
    world.server.refuse(world.server.last('sessions.close').id, 'Session not found');
    await settle();
    expect(world.server.count('session.resume')).toBe(1);
    client.call('session.create');
    await settle();
    expect([world.server.count('session.create'), world.server.count('sessions.close')]).toEqual([1, 1]);
  });
});

it('numbers what a client is asked behind what it was asked before', async () => {
  const world = new RelayWorld();
  const asked: unknown[] = [];
  const handler = world.relay.attach({
    id: 'other/1',
    identity: { tenant: TENANT, user: undefined, credential: 'Binding', expiresAt: undefined },
    send: (body) => void asked.push((JSON.parse(body.toString()) as { id?: unknown }).id),
    sendFrames: () => undefined,
    queuedBytes: 0,
    pause: () => undefined,
    resume: () => undefined,
    close: () => undefined,
    askedBefore: 1000,
  });
  handler.frame(
    Buffer.from('{"jsonrpc":"2.0","id":"a","method":"session.resume","params":{"sessionId":"s","hooks":true}}'),
  );
  await settle();
  world.server.answer(world.server.last('session.resume').id, {});
  await settle();
  world.server.request(1, 'hooks.invoke', { sessionId: 's' });
  expect(asked).toEqual(['a', 1001]);
  expect(world.relay.sessions()[0]?.clients).toEqual(['other/1']);
});
