import { describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const prompt = { sessionId: 's', prompt: 'secret of the user' };

function stateOf(world: RelayWorld): string | undefined {
  return world.relay.sessions()[0]?.state;
}

describe('sessions, seen from outside', () => {
  it('are those that clients are attached to, with their server and since when', async () => {
    const world = new RelayWorld();
    world.client();
    expect(world.relay.sessions()).toEqual([]);
    await world.attached('s');
    const since = world.clock.now();
    await world.clock.advance(5000);
    await world.attached('s');
    await world.attached('t');
    expect(world.relay.sessions()).toEqual([
      {
        tenant: TENANT,
        server: 'team/acme-0',
        id: 's',
        since,
        state: 'Idle',
        clients: [2, 3],
        heldPrompts: 0,
        openQuestions: 0,
        eventBytes: 0,
      },
      expect.objectContaining({ id: 't', since: since + 5000, clients: [4] }),
    ]);
  });

  it('say what they are at, and nothing of what is said in them', async () => {
    const world = new RelayWorld();
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    a.call('session.send', prompt);
    b.call('session.send', prompt);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Running', heldPrompts: 1 }]);
    world.server.event('s', 'user.message');
    world.server.event('s', 'permission.requested', { requestId: 'p' });
    world.server.request(1, 'userInput.request', { sessionId: 's' });
    expect(world.relay.sessions()).toMatchObject([{ state: 'Waiting', openQuestions: 2 }]);
    expect(JSON.stringify(world.relay.sessions())).not.toContain('secret');
    world.server.event('s', 'permission.completed', { requestId: 'p' });
    expect(world.relay.sessions()).toMatchObject([{ state: 'Waiting', openQuestions: 1 }]);
    world.server.events.closed(undefined);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Running', heldPrompts: 1, openQuestions: 0 }]);
  });

  it('count the bytes of their events once, whoever gets them', async () => {
    const world = new RelayWorld();
    await world.attached('s');
    await world.attached('s');
    await world.attached('t');
    const body =
      '{"jsonrpc":"2.0","method":"session.event","params":{"sessionId":"s","event":{"type":"x","text":"é"}}}';
    world.server.send(body);
    world.server.send(body);
    expect(world.relay.sessions().map(({ id, eventBytes }) => [id, eventBytes])).toEqual([
      ['s', 2 * Buffer.byteLength(body)],
      ['t', 0],
    ]);
  });

  it('stay for a while after their last client, and are gone when they are unloaded or deleted', async () => {
    const world = new RelayWorld({ detachAfterMs: 1000 });
    (await world.attached('s')).leave();
    expect(world.relay.sessions()).toMatchObject([{ state: 'Idle', clients: [] }]);
    await world.clock.advance(1000);
    world.server.answer(world.server.last('session.detach').id, { success: true });
    await settle();
    expect(world.relay.sessions()).toEqual([]);
    const client = await world.attached('t');
    client.call('session.delete', { sessionId: 't' });
    world.server.answer(world.server.last('session.delete').id, { success: true });
    expect(world.relay.sessions()).toEqual([]);
  });

  it('are a gauge by state', async () => {
    const world = new RelayWorld();
    await world.attached('s');
    await world.attached('t');
    world.server.event('t', 'user.message');
    expect(await world.counted('sessions')).toEqual({ Idle: 1, Running: 1 });
    world.server.event('t', 'session.idle');
    expect(await world.counted('sessions')).toEqual({ Idle: 2 });
    expect(stateOf(world)).toBe('Idle');
  });
});

describe('servers, seen from outside', () => {
  it('are those that clients were routed to, with how their connection is', async () => {
    const world = new RelayWorld();
    expect(world.relay.servers()).toEqual([]);
    const client = world.client();
    const server = { tenant: TENANT, server: 'team/acme-0' };
    expect(world.relay.servers()).toEqual([{ ...server, state: 'Disconnected', calls: 0 }]);
    client.call('status.get');
    expect(world.relay.servers()).toEqual([{ ...server, state: 'Dialling', calls: 1 }]);
    await settle();
    expect(world.relay.servers()).toEqual([{ ...server, state: 'Connected', calls: 1 }]);
    world.server.answer(world.server.last('status.get').id, {});
    expect(world.relay.servers()).toEqual([{ ...server, state: 'Connected', calls: 0 }]);
    expect(await world.counted('servers')).toEqual({ Connected: 1 });
    world.isUp = false;
    world.server.events.closed(undefined);
    expect(world.relay.servers()).toMatchObject([{ state: 'Disconnected' }]);
  });

  it('are being dialled while a call waits for the next attempt', async () => {
    const world = new RelayWorld();
    const client = world.client();
    world.isUp = false;
    client.call('status.get');
    await settle();
    client.call('status.get');
    expect(world.relay.servers()).toMatchObject([{ state: 'Dialling', calls: 2 }]);
  });
});

it('what is under way of a client are its calls and the sessions that are still there', async () => {
  const world = new RelayWorld();
  const [a, b] = [await world.attached('s'), await world.attached('s')];
  expect(a.work).toMatchObject({ calls: 0, sessions: 1 });
  const id = a.call('status.get');
  expect(a.work).toMatchObject({ calls: 1, sessions: 1 });
  world.server.answer(world.server.last('status.get').id, {});
  expect(a.answer(id)?.result).toEqual({});
  b.call('session.delete', { sessionId: 's' });
  world.server.answer(world.server.last('session.delete').id, { success: true });
  expect([a.work, b.work]).toEqual([
    { calls: 0, sessions: 0, waiting: 0 },
    { calls: 0, sessions: 0, waiting: 0 },
  ]);
});
