// What a server says while it may be about to stop, and what is kept of it.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';

const STOPS_MS = 2500;

let world: RelayWorld;
let client: ClientEnd;

beforeEach(async () => {
  world = new RelayWorld();
  client = await world.attached('s');
});

/** An event that may mean that the server stops. */
const fail = (sessionId = 's') => world.server.event(sessionId, 'session.error', { message: 'fetch failed' });
/** An event whose start is as servers write it, and whose rest is none. */
const junk = (type: string) =>
  `{"jsonrpc":"2.0","method":"session.event","params":{"sessionId":"s","event":{"type":"${type}","data":{{{`;

describe('events that are kept back', () => {
  it('are told when the server has not stopped, in their order', async () => {
    fail();
    world.server.event('s', 'session.idle');
    expect(client.events).toEqual([]);
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['session.error', 'session.idle']);
    expect(world.dials).toHaveLength(1);
  });

  it('are kept each for its own time', async () => {
    fail();
    world.server.event('s', 'assistant.turn_start');
    await world.clock.advance(STOPS_MS - 100);
    fail();
    world.server.event('s', 'session.idle');
    await world.clock.advance(100);
    expect(client.events).toEqual(['session.error', 'assistant.turn_start']);
    await world.clock.advance(STOPS_MS - 101);
    expect(client.events).toHaveLength(2);
    await world.clock.advance(1);
    expect(client.events.slice(2)).toEqual(['session.error', 'session.idle']);
  });

  it('of which the second may mean that the server stops are not told when it does', async () => {
    fail();
    await world.clock.advance(STOPS_MS - 100);
    fail();
    world.server.event('s', 'session.idle');
    await world.clock.advance(100);
    world.server.events.closed(undefined);
    await settle();
    expect(client.events).toEqual(['session.error']);
  });

  it('are not told by a server that answers nothing any more: it stops, however long that takes', async () => {
    world.answers.delete('ping');
    fail();
    world.server.event('s', 'session.idle');
    await world.clock.advance(STOPS_MS * 4);
    expect(world.server.count('ping')).toBe(1);
    world.server.events.closed(undefined);
    await settle();
    world.server.events.connected();
    await world.clock.advance(STOPS_MS * 4);
    expect(client.events).toEqual([]);
  });

  it('are told as soon as a server answers that was slow', async () => {
    world.answers.delete('ping');
    fail();
    await world.clock.advance(STOPS_MS);
    fail();
    world.server.answer(world.server.last('ping').id, {});
    expect(client.events).toEqual(['session.error']);
    await world.clock.advance(STOPS_MS);
    world.server.answer(world.server.last('ping').id, {});
    expect(client.events).toEqual(['session.error', 'session.error']);
  });

  it('cost the server its connection, and nobody else anything, when they cannot be read', async () => {
    fail();
    world.server.send(junk('session.idle'));
    world.server.event('s', 'assistant.message');
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['session.error']);
    expect(world.dials).toHaveLength(2);
    expect(JSON.stringify(world.logged)).toContain('JSON');
  });
});

describe('what is kept back', () => {
  it('leaves out pieces of events, which later ones have as a whole', async () => {
    fail();
    world.server.event('s', 'assistant.message_delta');
    world.server.event('s', 'assistant.message');
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['session.error', 'assistant.message']);
  });

  it('goes on at once, in order, when it is more than is allowed', async () => {
    world = new RelayWorld({ stopsBytes: 2000 });
    client = world.client();
    await world.attach(client, 's');
    await world.attach(client, 't');
    const id = client.call('session.send', { sessionId: 's', prompt: 'p' });
    const refuse = () => world.server.refuse(world.server.last('session.send').id, 'Request session.send failed with message: x'); // prettier-ignore
    refuse();
    fail('s');
    fail('t');
    // Said again, it is not kept again.
    for (let count = 0; count < 100; count += 1) refuse();
    world.server.event('s', 'session.idle');
    expect([client.events, client.answer(id)]).toEqual([[], undefined]);
    world.server.event('t', 'assistant.message', { content: 'x'.repeat(2000) });
    expect(client.events).toEqual(['session.error', 'session.idle', 'session.error', 'assistant.message']);
    expect(client.answer(id)?.error).toBeDefined();
    // Nothing is left to be counted.
    fail('s');
    expect(client.events).toHaveLength(4);
    await world.clock.advance(STOPS_MS);
    expect(client.events).toHaveLength(5);
  });

  it('is no answer to what was never asked', async () => {
    const before = world.clock.pendingTimers;
    world.server.refuse(4711, 'Request session.send failed with message: x');
    world.server.refuse(4711, 'SERVER_SHUTTING_DOWN');
    expect(world.clock.pendingTimers).toBe(before);
    await world.clock.advance(STOPS_MS);
    expect(world.dials).toHaveLength(1);
  });
});

describe('what is kept back of a session that is unloaded', () => {
  const idle = (sessionId = 's') => world.server.event(sessionId, 'session.idle');
  const refuseOnce = (method: string, answer = (): object => ({})) => {
    let isRefused = false;
    world.answers.set(method, (end, { id }) => {
      if (isRefused) return end.answer(id, answer());
      isRefused = true;
      end.refuse(id, 'Session not found: s');
    });
  };

  it.each(['sessions.close', 'session.shutdown'])('is told before the answer to %s', async (method) => {
    fail();
    idle();
    const id = client.call(method, { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last(method).id, {});
    expect(client.events).toEqual(['session.error', 'session.idle']);
    expect(client.received.at(-1)?.id).toBe(id);
    await world.clock.advance(STOPS_MS);
    expect(client.events).toHaveLength(2);
  });

  it('is told before it is loaded again after another one had its place', async () => {
    world.fleet.change({ limits: { maxConcurrent: 1 } });
    world.answers.set('sessions.close', (end, { id }) => end.answer(id, {}));
    world.answers.set('session.resume', (end, { id, params }) => end.answer(id, { sessionId: params?.['sessionId'] }));
    await world.clock.advance(10_000);
    fail();
    world.server.event('s', 'session.shutdown');
    client.call('session.resume', { sessionId: 'other' });
    await settle();
    expect(world.server.count('sessions.close')).toBe(1);
    expect(client.events).toEqual(['session.error']);
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['session.error']);
  });

  it('is told before it is loaded again because a call has met that', async () => {
    fail();
    world.server.event('s', 'session.shutdown');
    refuseOnce('session.mode.get');
    world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
    const id = client.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(client.answer(id)?.result).toBeDefined();
    world.server.event('s', 'user.message', { messageId: 'm' });
    expect(client.events.slice(0, 2)).toEqual(['session.error', 'session.shutdown']);
    const { length } = client.events;
    await world.clock.advance(STOPS_MS);
    expect(client.events).toHaveLength(length);
  });

  it('is not told when it was unloaded for a drain that is withdrawn', async () => {
    const timeoutMs = 300_000;
    fail();
    idle();
    world.fleet.change({ drains: [{ server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true }] });
    await world.clock.advance(200);
    expect(world.server.count('sessions.close')).toBe(1);
    world.fleet.change({ drains: undefined });
    world.server.answer(world.server.last('sessions.close').id, {});
    world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
    client.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(world.dials).toHaveLength(1);
    world.server.event('s', 'user.message', { messageId: 'm' });
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['user.message']);
  });

  it('is not told of another one of its id', async () => {
    fail();
    idle();
    world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.lifecycle', params: { sessionId: 's', type: 'session.deleted' } })); // prettier-ignore
    await world.attach(client, 's');
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual([]);
  });
});

describe('an event that cannot be read', () => {
  it('costs the server its connection also while its session is loaded again', async () => {
    world.server.events.closed(undefined);
    await settle();
    world.server.send(junk('session.idle'));
    await settle();
    expect(world.dials).toHaveLength(3);
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    world.server.event('s', 'assistant.message');
    expect(client.events).toEqual(['assistant.message']);
  });

  it('costs it no more than that while a user attaches', async () => {
    world.fleet.change({ isolation: 'SharedTrusted' });
    await settle();
    const alice = world.client(undefined, 'alice');
    world.answers.set('sessions.getClientMetadata', (end, { id }) => end.answer(id, [{ sessionId: 't', status: 'notFound' }] as object)); // prettier-ignore
    const id = alice.call('session.create', { sessionId: 't' });
    await settle();
    world.server.answer(world.server.last('session.create').id, { sessionId: 't' });
    await settle();
    // It is lost before it has taken whose the session is.
    world.server.events.closed(undefined);
    await settle();
    world.answers.set('session.metadata.updateClientMetadata', (end, frame) => end.answer(frame.id, {}));
    world.server.answer(world.server.last('session.delete').id, {});
    await settle();
    world.server.send(junk('session.idle').replace('"s"', '"t"'));
    await settle();
    world.server.answer(world.server.last('session.create').id, { sessionId: 't' });
    await settle();
    expect(alice.answer(id)?.result).toEqual({ sessionId: 't' });
  });
});
