// How many sessions a server has in memory at once, in a tenant that limits it, and which one is unloaded for another.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { chooseEvicted } from '../../../../src/gateway/relay/limits/least-used.ts';
import type { RelayLimits } from '../../../../src/gateway/relay/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { CONNECTION_TIMERS, RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const UNAVAILABLE = -32050;
/** When a session that has a client, and was used last, may be unloaded. */
const RECENT_MS = 10_000;
const WAIT_MS = 30_000;

describe('the session that makes room', () => {
  const idle = { isInUse: false, clientCount: 1 };
  it.each([
    ['none, as long as there is room', [{ ...idle, lastUsed: 0 }], 2, 'Room', undefined],
    ['that was not used for the longest time', [50_000, 10_000, 30_000], 3, 'LeastUsed', 10_000],
    ['one that is in use never', [{ ...idle, isInUse: true, lastUsed: 0 }, 20_000], 2, 'LeastUsed', 20_000],
    ['one of a client that has just used it never', [95_000, 92_000], 2, 'AllInUse', undefined],
    ['one without a client also if it was just used', [95_000, { ...idle, clientCount: 0, lastUsed: 99_000 }], 2, 'LeastUsed', 99_000], // prettier-ignore
    ['one of more than are allowed since the limit was lowered', [10_000, 20_000, 30_000], 1, 'LeastUsed', 10_000],
    ['none, if all are in use', [{ ...idle, isInUse: true, lastUsed: 0 }], 1, 'AllInUse', undefined],
  ] as const)('is %s', (_, placed, max, reason, lastUsed) => {
    const sessions = placed.map((each) => (typeof each === 'number' ? { ...idle, lastUsed: each } : each));
    const verdict = chooseEvicted(sessions, max, 100_000, RECENT_MS);
    expect(verdict.reason).toBe(reason);
    expect('session' in verdict ? verdict.session.lastUsed : undefined).toBe(lastUsed);
    expect(verdict.message).not.toBe('');
  });
});

let world: RelayWorld;
let client: ClientEnd;

beforeEach(() => setUp());

function setUp(limits: Partial<RelayLimits> = {}): void {
  world = new RelayWorld(limits);
  world.fleet.change({ limits: { maxConcurrent: 2 } });
  client = world.client();
  for (const method of [
    'session.create',
    'session.resume',
    'sessions.close',
    'session.mode.get',
    'session.options.update',
  ])
    world.answers.set(method, (end, { id, params = {} }) => end.answer(id, { sessionId: params['sessionId'] }));
}

async function attach(sessionId: string, params: object = {}, by = client): Promise<number> {
  const id = by.call('session.resume', { ...params, sessionId });
  await settle();
  return id;
}

/** Attached one after the other, a second apart. */
async function attachAll(...ids: string[]): Promise<void> {
  for (const id of ids) {
    await attach(id);
    await world.clock.advance(1000);
  }
}

const idsOf = (method: string): unknown[] => world.server.all(method).map(({ params }) => params?.['sessionId']);
const isAttached = (id: number) => client.answer(id)?.result !== undefined;

describe('a server that has as many sessions in memory as it may have', () => {
  it('unloads the least recently used one for another, and its clients hear nothing of it', async () => {
    await attachAll('a', 'b');
    client.call('session.mode.get', { sessionId: 'a' });
    await world.clock.advance(RECENT_MS);
    const heard = client.received.length;
    const id = await attach('c');
    expect(idsOf('sessions.close')).toEqual(['b']);
    world.server.event('b', 'session.shutdown');
    expect(isAttached(id)).toBe(true);
    expect(client.received).toHaveLength(heard + 2);
    expect(await world.counted('evicted_sessions_total')).toEqual({ '': 1 });
  });

  it('loads that one again for its next call, as its client had set it up', async () => {
    await attach('a', { tools: [{ name: 'x' }], streaming: true });
    client.call('session.options.update', { sessionId: 'a', reasoningSummary: 'none' });
    await attachAll('b');
    await world.clock.advance(RECENT_MS);
    await attach('c');
    expect(idsOf('sessions.close')).toEqual(['a']);
    await world.clock.advance(RECENT_MS);
    const { length } = world.server.received;
    const id = client.call('session.mode.get', { sessionId: 'a' });
    await settle();
    expect(client.answer(id)?.result).toEqual({ sessionId: 'a' });
    const calls = world.server.received.slice(length);
    expect(calls.map(({ method }) => method).filter((method) => method !== 'session.metadata.activity')).toEqual([
      'sessions.close',
      'session.resume',
      'session.options.update',
      'session.mode.get',
    ]);
    expect(calls.find(({ method }) => method === 'session.resume')?.params).toMatchObject({
      tools: [{ name: 'x' }],
      streaming: true,
    });
    expect(calls.find(({ method }) => method === 'session.options.update')?.params).toMatchObject({
      reasoningSummary: 'none',
    });
  });

  it.each([
    ['a turn runs', (): void => void world.server.event('a', 'user.message', { messageId: 'm' })],
    ['a prompt is on its way', (): void => void client.call('session.send', { sessionId: 'a', prompt: 'p' })],
    ['a permission is open', (): void => void world.server.event('a', 'permission.requested', { requestId: 'p' })],
    ['a call is not answered', (): void => void client.call('session.shell.exec', { sessionId: 'a' })],
  ])('never unloads one in which %s', async (_, use) => {
    await attachAll('a', 'b');
    use();
    await settle();
    await world.clock.advance(RECENT_MS);
    client.call('session.mode.get', { sessionId: 'b' });
    await world.clock.advance(RECENT_MS);
    await attach('c');
    expect(idsOf('sessions.close')).toEqual(['b']);
  });

  it('never unloads one in which a call is made again that has met it unloaded', async () => {
    await attachAll('a', 'b');
    const method = 'session.shell.exec';
    client.call(method, { sessionId: 'a' });
    await settle();
    world.server.refuse(world.server.last(method).id, 'Session not found: a');
    await settle();
    expect(world.server.count(method)).toBe(2);
    await world.clock.advance(RECENT_MS);
    client.call('session.mode.get', { sessionId: 'b' });
    await world.clock.advance(RECENT_MS);
    await attach('c');
    expect(idsOf('sessions.close')).toEqual(['b']);
  });

  it('takes one for used until its calls are answered', async () => {
    await attachAll('a', 'b');
    client.call('session.shell.exec', { sessionId: 'a' });
    await world.clock.advance(RECENT_MS);
    client.call('session.mode.get', { sessionId: 'b' });
    await world.clock.advance(RECENT_MS);
    world.server.answer(world.server.last('session.shell.exec').id, {});
    await attach('c');
    expect(idsOf('sessions.close')).toEqual(['b']);
  });

  it('asks the server, and leaves one that has background tasks', async () => {
    await attachAll('a', 'b');
    await world.clock.advance(RECENT_MS);
    world.activityAnswer = (end, id) => {
      const asked = end.received.find((frame) => frame.id === id)?.params?.['sessionId'];
      end.answer(id, { hasActiveWork: asked === 'a' });
    };
    const id = await attach('c');
    await world.clock.advance(1000);
    expect(isAttached(id)).toBe(true);
    expect(idsOf('sessions.close')).toEqual(['b']);
  });

  it('has another one wait while all are in use, in order, and goes on as soon as a turn ends', async () => {
    await attachAll('a', 'b');
    for (const id of ['a', 'b']) world.server.event(id, 'user.message', { messageId: id });
    const [c, d] = [await attach('c'), await attach('d')];
    await world.clock.advance(RECENT_MS);
    expect([c, d].map(isAttached)).toEqual([false, false]);
    world.server.event('b', 'session.idle');
    await world.clock.advance(RECENT_MS + 1000);
    expect([c, d].map(isAttached)).toEqual([true, false]);
    world.server.event('a', 'session.idle');
    await world.clock.advance(RECENT_MS + 1000);
    expect([c, d].map(isAttached)).toEqual([true, true]);
    // The turn of a has just ended.
    expect(idsOf('sessions.close')).toEqual(['b', 'c']);
    expect(world.clock.pendingTimers).toBe(CONNECTION_TIMERS);
  });

  it('begins no turn of a session that gets its place because the server is drained', async () => {
    setUp({ recentlyUsedMs: 0 });
    world.answers.set('session.send', (end, { id }) => end.answer(id, { messageId: 'm' }));
    await attachAll('a', 'b', 'c');
    for (const sessionId of ['b', 'c']) world.server.event(sessionId, 'user.message');
    const id = client.call('session.send', { sessionId: 'a', prompt: 'x' });
    await world.clock.advance(1000);
    const [before] = world.dials;
    const drain = { server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs: 10_000 };
    world.fleet.change({ drains: [{ ...drain, comesBack: true }] });
    for (const sessionId of ['b', 'c']) world.server.event(sessionId, 'session.idle');
    await world.clock.advance(5000);
    expect([before?.count('session.send'), world.relay.drains()]).toMatchObject([0, [{ isDrained: true }]]);
    const [server] = world.fleet.find(TENANT)?.servers ?? [];
    if (server !== undefined) world.fleet.change({ servers: [{ ...server, podUID: 'pod-2' }], drains: undefined });
    await world.clock.advance(1000);
    expect([idsOf('session.send'), client.answer(id)?.result]).toEqual([['a'], { messageId: 'm' }]);
  });

  it('keeps no place for a session of a lost server of which nobody needs anything', async () => {
    world.fleet.change({ limits: { maxConcurrent: 1 } });
    world.answers.set('session.send', (end, { id }) => end.answer(id, { messageId: 'm' }));
    const other = world.client();
    await attach('a');
    client.call('session.send', { sessionId: 'a', prompt: 'x' });
    await settle();
    for (const type of ['user.message', 'session.idle'])
      world.server.event('a', type, { messageId: 'm', content: 'x' });
    world.isUp = false;
    world.server.events.closed(undefined);
    client.leave();
    const id = await attach('b', {}, other);
    world.isUp = true;
    await world.clock.advance(1000);
    expect(other.answer(id)?.result).toBeDefined();
  });

  it('tells the client to try again when that takes too long', async () => {
    await attachAll('a', 'b');
    for (const id of ['a', 'b']) world.server.event(id, 'user.message', { messageId: id });
    const id = await attach('c');
    await world.clock.advance(WAIT_MS + 1000);
    expect(client.answer(id)?.error).toEqual({
      code: UNAVAILABLE,
      message: expect.stringContaining('spec.sessions.maxConcurrent'),
      data: {
        retryable: true,
        retryAfterMs: expect.any(Number),
        outcome: 'NotSent',
        rule: 'MaxConcurrent',
        field: 'spec.sessions.maxConcurrent',
        limit: 2,
      },
    });
    expect(await world.counted('refused_calls_total')).toEqual({ SessionsFull: 1 });
    expect(world.relay.sessions().map((session) => session.id)).toEqual(['a', 'b']);
    expect(world.server.count('sessions.close')).toBe(0);
  });

  it('has calls that came together wait together, and not one after the other', async () => {
    await attach('e');
    await attachAll('a', 'b');
    await world.clock.advance(RECENT_MS);
    for (const id of ['a', 'b']) world.server.event(id, 'user.message', { messageId: id });
    expect(idsOf('sessions.close')).toEqual(['e']);
    const ids = [1, 2, 3, 4].map(() => client.call('session.mode.get', { sessionId: 'e' }));
    await world.clock.advance(WAIT_MS + 1000);
    expect(ids.map((id) => client.answer(id)?.error?.code)).toEqual([1, 2, 3, 4].map(() => UNAVAILABLE));
    // One that comes now has its own time.
    const late = client.call('session.mode.get', { sessionId: 'e' });
    await world.clock.advance(WAIT_MS - 1000);
    expect(client.answer(late)).toBeUndefined();
    await world.clock.advance(2000);
    expect(client.answer(late)?.error?.code).toBe(UNAVAILABLE);
  });

  it('forgets a client that leaves while it waits', async () => {
    await attachAll('a', 'b');
    for (const id of ['a', 'b']) world.server.event(id, 'user.message', { messageId: id });
    const other = world.client();
    await attach('c', {}, other);
    other.leave();
    await world.clock.advance(1000);
    expect(world.relay.sessions().map((session) => session.id)).toEqual(['a', 'b']);
    expect(idsOf('session.resume')).toEqual(['a', 'b']);
    expect(world.clock.pendingTimers).toBe(CONNECTION_TIMERS);
  });

  it('unloads none that a client has begun to use meanwhile', async () => {
    await attachAll('a', 'b');
    await world.clock.advance(RECENT_MS);
    const asked = world.activityAnswer;
    world.activityAnswer = (end, id) => {
      world.activityAnswer = asked;
      client.call('session.mode.get', { sessionId: 'a' });
      asked(end, id);
    };
    await attach('c');
    await world.clock.advance(1000);
    expect(idsOf('sessions.close')).toEqual(['b']);
  });
});

describe('a session that was unloaded for another one', () => {
  beforeEach(async () => {
    await attachAll('a', 'b');
    await world.clock.advance(RECENT_MS);
    await attach('c');
  });

  it('is not restored when the server is lost, while the others are', async () => {
    world.server.events.closed(undefined);
    await settle();
    expect(world.dials).toHaveLength(2);
    expect(new Set(idsOf('session.resume'))).toEqual(new Set(['b', 'c']));
  });

  it('has its place again when another client attaches', async () => {
    await world.clock.advance(RECENT_MS);
    await attach('a', {}, world.client());
    expect(idsOf('sessions.close')).toEqual(['a', 'b']);
  });

  it('is forgotten when its client has left', async () => {
    client.leave();
    await world.clock.advance(120_000);
    expect(world.relay.sessions()).toEqual([]);
    expect(world.clock.pendingTimers).toBe(CONNECTION_TIMERS);
  });
});

describe('a tenant without a limit', () => {
  it('has any number of sessions in memory', async () => {
    world.fleet.change({ limits: {} });
    await attachAll('a', 'b', 'c', 'd');
    expect(world.server.count('sessions.close')).toBe(0);
    expect(world.server.count('session.metadata.activity')).toBe(0);
  });
});
