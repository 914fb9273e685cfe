// What a hostile server or client could have the gateway keep without an end: it is bounded, or counted in the memory of its tenant.
import { describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';

const LONG = 'x'.repeat(20_000);
const SEND = 'session.send';
const PERMISSION = 'session.permissions.handlePendingPermissionRequest';

/** Whether the tenant may have 20 KB more kept. */
async function hasRoom(world: RelayWorld, client: ClientEnd = world.client()): Promise<boolean> {
  await world.clock.advance(200);
  const id = client.call('session.mode.get', { sessionId: 'unknown', big: LONG });
  await settle();
  return client.answer(id)?.error?.code !== -32000;
}

describe('of a server that gives long ids', () => {
  it('events are told, and nothing of them is kept', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    const client = await world.attached('s');
    for (let count = 0; count < 20; count += 1) {
      const event = { type: 'assistant.message', data: {}, id: `${LONG}${count}`, timestamp: 't', parentId: null };
      world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params: { sessionId: 's', event } }));
    }
    expect([client.events.length, await hasRoom(world)]).toEqual([20, true]);
    // The same again is another one: nothing is remembered.
    const event = { type: 'assistant.message', data: {}, id: `${LONG}0`, timestamp: 't', parentId: null };
    world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params: { sessionId: 's', event } }));
    expect(client.events).toHaveLength(21);
  });

  it('prompts do not have these ids', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const id = client.call(SEND, { sessionId: 's', prompt: 'p' });
    world.server.answer(world.server.last(SEND).id, { messageId: LONG });
    expect(client.answer(id)?.result).toEqual({ messageId: LONG });
    world.server.event('s', 'user.message', { messageId: LONG, content: 'p' });
    world.isUp = true;
    world.journal = [];
    world.server.events.closed(undefined);
    await world.clock.advance(1000);
    // It is found by its text alone, and so is sent again.
    world.answers.set(SEND, (end, frame) => end.answer(frame.id, { messageId: 'short' }));
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(world.server.last(SEND).params).toMatchObject({ prompt: 'p' });
  });
});

describe('of a session', () => {
  it('prompts without an end count, and are refused beyond a number of them', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    let taken = 0;
    for (let count = 0; count < 3000; count += 1) {
      const id = client.call(SEND, { sessionId: 's', prompt: '' });
      if (client.answer(id)?.error !== undefined) break;
      taken += 1;
      world.server.answer(world.server.last(SEND).id, { messageId: `m${count}` });
      if (count === 0) world.server.event('s', 'user.message', { messageId: 'm0', content: '' });
    }
    expect(taken).toBe(2048);
    expect(await world.counted('refused_calls_total')).toMatchObject({ TooManyPrompts: 1 });
    world.server.event('s', 'session.idle');
    await world.clock.advance(2000);
    const id = client.call(SEND, { sessionId: 's', prompt: 'after the turn' });
    expect(client.answer(id)).toBeUndefined();
  });

  it('a prompt of more messages than are kept is refused, and one of many is sent', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const messages = (count: number) => Array.from({ length: count }, () => ({ prompt: '' }));
    const many = client.call('session.sendMessages', { sessionId: 's', messages: messages(5000) });
    const some = client.call('session.sendMessages', { sessionId: 's', messages: messages(1000) });
    await settle();
    expect([client.answer(many)?.error?.code, client.answer(some)]).toEqual([-32000, undefined]);
  });

  it('commands leave their room to prompts, although no turn ends them', async () => {
    const world = new RelayWorld({ turnStartMs: 1000 });
    const client = await world.attached('s');
    for (let count = 0; count < 3000; count += 1) {
      const id = client.call(SEND, { sessionId: 's', prompt: '/command' });
      expect(client.answer(id)).toBeUndefined();
      world.server.answer(world.server.last(SEND).id, { messageId: `m${count}` });
      if (count % 1000 === 0) await world.clock.advance(1001);
    }
  });

  it('answers count while they may be lost, and no longer', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    const client = await world.attached('s');
    for (let count = 0; count < 3; count += 1) {
      client.call(PERMISSION, { sessionId: 's', requestId: `${count}`, result: LONG });
      world.server.answer(world.server.last(PERMISSION).id, {});
    }
    await settle();
    const asks = world.client();
    expect(await hasRoom(world, asks)).toBe(false);
    await world.clock.advance(2000);
    expect(await hasRoom(world, asks)).toBe(true);
  });

  it('answers are kept no longer when their server was lost, and is back', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    const client = await world.attached('s');
    for (let count = 0; count < 3; count += 1) {
      client.call(PERMISSION, { sessionId: 's', requestId: `${count}`, result: LONG });
      world.server.answer(world.server.last(PERMISSION).id, {});
    }
    await settle();
    world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
    world.server.events.closed(undefined);
    await world.clock.advance(2000);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Idle' }]);
    expect(await hasRoom(world)).toBe(true);
  });

  it('what is registered for events counts', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    const client = await world.attached('s');
    const method = 'session.eventLog.registerInterest';
    for (let count = 0; count < 3; count += 1) {
      client.call(method, { sessionId: 's', eventType: `${count}`, filter: LONG });
      await settle();
      world.server.answer(world.server.last(method).id, { handle: { big: LONG } });
    }
    expect(await hasRoom(world)).toBe(false);
  });

  it('events that are kept for a client that catches up count', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    await world.attached('s');
    world.server.event('s', 'assistant.turn_start');
    world.journalAnswer = () => undefined;
    await world.attached('s');
    for (let count = 0; count < 3; count += 1) world.server.event('s', 'assistant.message', { content: LONG });
    await world.clock.advance(10_000);
    expect(await hasRoom(world)).toBe(false);
  });
});
