// What a tenant states about where its sessions are made, and about a server that is away, frame by frame.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { SessionDisks } from '../../../support/session-disks.ts';
import { TENANT, hostOf } from '../../../support/static-fleet.ts';

let world: RelayWorld;
let disks: SessionDisks;

beforeEach(() => {
  world = new RelayWorld();
  world.fleet.scale(3);
  disks = new SessionDisks(world);
});

async function called(by: ClientEnd, method: string, params: object = {}) {
  const id = by.call(method, params);
  await settle();
  return by.answer(id);
}

const placeOf = (sessionId: string) => [0, 1, 2, 3].filter((index) => disks.of(hostOf(index)).has(sessionId));

async function placesOf(user: string | undefined, sessions: readonly string[]): Promise<number[]> {
  const client = world.client(TENANT, user);
  for (const sessionId of sessions) await called(client, 'session.create', { sessionId });
  return sessions.flatMap(placeOf);
}

describe('spec.placement', () => {
  it('RoundRobin makes sessions on one server after the other, and past one that is away', async () => {
    world.fleet.change({ placement: 'RoundRobin' });
    expect(await placesOf(undefined, ['a', 'b', 'c', 'd'])).toEqual([0, 1, 2, 0]);
    world.fleet.scale(3, [1]);
    // Of one that is away it is known that it does not have these.
    expect(await placesOf(undefined, ['e', 'f'])).toEqual([2, 0]);
  });

  it('LeastLoaded makes none where nothing can be connected to, although it is said to serve', async () => {
    const client = world.client();
    await placesOf(undefined, ['a', 'b', 'c']);
    await called(client, 'session.resume', { sessionId: 'a' });
    for (const index of [0, 1]) {
      world.down.add(hostOf(index));
      world.serverAt(index).events.closed(undefined);
    }
    await world.clock.advance(1000);
    client.call('session.mode.get', { sessionId: 'b' });
    await world.clock.advance(1000);
    const made = await called(world.client(), 'session.create');
    expect(placeOf(String(made?.result?.['sessionId']))).toEqual([2]);
  });

  it('ByUser makes the sessions of a user on one server, with an id of the client and without', async () => {
    world.fleet.change({ placement: 'ByUser' });
    const [place, ...others] = await placesOf('alice', ['a', 'b', 'c']);
    expect(others).toEqual([place, place]);
    const made = await called(world.client(TENANT, 'alice'), 'session.create');
    expect(placeOf(String(made?.result?.['sessionId']))).toEqual([place]);
    const places = new Set<number | undefined>();
    for (const n of Array.from({ length: 12 }).keys())
      for (const each of await placesOf(`user-${n}`, [`s${n}`])) places.add(each);
    expect(places.size).toBe(3);
  });

  it('moves no session when it is changed, or when a server comes', async () => {
    const before = await placesOf('alice', ['a', 'b', 'c']);
    world.fleet.change({ placement: 'ByUser' });
    world.fleet.scale(4);
    const client = world.client(TENANT, 'alice');
    for (const sessionId of ['a', 'b', 'c']) await called(client, 'session.resume', { sessionId });
    expect(['a', 'b', 'c'].flatMap(placeOf)).toEqual(before);
  });
});

describe('spec.sessions.unavailable', () => {
  const refusal = {
    code: -32050,
    message:
      'server acme-1 of tenant team/acme cannot be reached now, and calls about its sessions do not wait (spec.sessions.unavailable is Fail); try again',
    data: { retryable: true, retryAfterMs: 250, outcome: 'NotSent' },
  };

  it('Fail refuses calls about a session whose server is away, at once, and no others', async () => {
    world.fleet.change({ limits: { unavailable: 'Fail' } });
    const client = world.client();
    expect(await placesOf(undefined, ['a', 'b'])).toEqual([0, 1]);
    await called(client, 'session.resume', { sessionId: 'b' });
    world.fleet.scale(3, [1]);
    world.serverAt(1).events.closed(undefined);
    expect((await called(client, 'session.send', { sessionId: 'b', prompt: 'x' }))?.error).toEqual(refusal);
    expect((await called(client, 'session.resume', { sessionId: 'b' }))?.error).toEqual(refusal);
    expect((await called(client, 'session.send', { sessionId: 'a', prompt: 'x' }))?.error?.code).not.toBe(-32050);
    // Who leaves it does not need the server.
    expect((await called(client, 'session.detach', { sessionId: 'b' }))?.result).toEqual({ success: true });
    // It is back.
    world.fleet.scale(3);
    await world.clock.advance(1000);
    const id = client.call('session.resume', { sessionId: 'b' });
    await world.clock.advance(1000);
    expect(client.answer(id)?.result).toMatchObject({ sessionId: 'b' });
  });

  it('Fail refuses calls about a session whose server cannot be connected to, although it is said to serve, and tries on', async () => {
    world.fleet.change({ limits: { unavailable: 'Fail' } });
    const client = world.client();
    await placesOf(undefined, ['a', 'b']);
    await called(client, 'session.resume', { sessionId: 'b' });
    world.down.add(hostOf(1));
    world.serverAt(1).events.closed(undefined);
    await world.clock.advance(1000);
    expect((await called(client, 'session.send', { sessionId: 'b', prompt: 'x' }))?.error).toEqual(refusal);
    world.down.clear();
    await world.clock.advance(1000);
    expect((await called(client, 'session.mode.get', { sessionId: 'b' }))?.error?.code).not.toBe(-32050);
  });

  it('Fail has the first call tried after all have given up', async () => {
    world.fleet.change({ limits: { unavailable: 'Fail' } });
    const client = world.client();
    await placesOf(undefined, ['a', 'b']);
    await called(client, 'session.resume', { sessionId: 'b' });
    world.down.add(hostOf(1));
    world.serverAt(1).events.closed(undefined);
    await world.clock.advance(400_000);
    world.down.clear();
    const id = client.call('session.resume', { sessionId: 'b' });
    await world.clock.advance(1000);
    expect(client.answer(id)?.result).toMatchObject({ sessionId: 'b' });
  });

  it('Fail does not look ten seconds for a session that may be on a server that is away', async () => {
    disks.add(hostOf(1), 's');
    world.fleet.change({ limits: { unavailable: 'Fail' } });
    world.fleet.scale(3, [1]);
    const answer = await called(world.client(), 'session.resume', { sessionId: 's' });
    expect(answer?.error?.message).toContain('server acme-1 of tenant team/acme cannot be reached now');
  });

  it('Wait, and no word, have the call wait until the server is back', async () => {
    const client = world.client();
    await placesOf(undefined, ['a', 'b']);
    await called(client, 'session.resume', { sessionId: 'b' });
    world.fleet.change({ limits: { unavailable: 'Wait' } });
    world.fleet.scale(3, [1]);
    world.serverAt(1).events.closed(undefined);
    const id = client.call('session.mode.get', { sessionId: 'b' });
    await world.clock.advance(5000);
    expect(client.answer(id)).toBeUndefined();
    world.fleet.scale(3);
    await world.clock.advance(5000);
    expect(client.answer(id)).toBeDefined();
  });

  it('Fail waits for a server that is replaced after a drain', async () => {
    world.fleet.change({ limits: { unavailable: 'Fail' } });
    const client = world.client();
    await placesOf(undefined, ['a']);
    await called(client, 'session.resume', { sessionId: 'a' });
    const timeoutMs = 60_000;
    world.fleet.change({
      drains: [{ server: 'team/acme-0', epoch: 1, podUID: 'pod-of-0', timeoutMs, comesBack: true }],
    });
    await settle();
    const id = client.call('session.send', { sessionId: 'a', prompt: 'x' });
    await world.clock.advance(1000);
    expect(client.answer(id)).toBeUndefined();
  });
});
