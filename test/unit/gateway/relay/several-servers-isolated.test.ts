// Users who are kept apart, in a tenant with two servers: what a stranger gets is what an unknown id gets, wherever the session is.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { STAMP_KEY, makeStamp } from '../../../../src/gateway/ownership/stamp.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { SessionDisks } from '../../../support/session-disks.ts';
import { TENANT, hostOf } from '../../../support/static-fleet.ts';
import { stampKey } from '../../../support/static-ownership.ts';

const AWAY = { code: -32050, data: { retryable: true, retryAfterMs: 250, outcome: 'NotSent' } };

let world: RelayWorld;
let disks: SessionDisks;
let alice: ClientEnd;
let bob: ClientEnd;

beforeEach(() => {
  world = new RelayWorld();
  world.fleet.change({ isolation: 'SharedTrusted' });
  world.fleet.scale(2);
  disks = new SessionDisks(world);
  [alice, bob] = [world.client(TENANT, 'alice'), world.client(TENANT, 'bob')];
});

/** Has server `index` a session that `owner` made. */
function stored(index: number, sessionId: string, owner: string): void {
  const session = { namespace: TENANT.namespace, tenant: TENANT.name, sessionId };
  const stamp = makeStamp(session, owner, stampKey('first'), (size) => Buffer.alloc(size, 7));
  disks.add(hostOf(index), sessionId, { [STAMP_KEY]: stamp });
}

async function called(client: ClientEnd, method: string, params: object = {}) {
  const id = client.call(method, params);
  await settle();
  return client.answer(id);
}

/** The requests that servers got, by their addresses and methods. */
function requests(): string[] {
  return world.dials.flatMap(({ host, received }) => received.map(({ method }) => `${host} ${method}`));
}

/** The requests that servers get for a call. */
async function costOf(client: ClientEnd, method: string, sessionId: string): Promise<string[]> {
  const before = world.dials.map(({ received }) => received.length);
  await called(client, method, { sessionId });
  return world.dials.flatMap(({ host, received }, index) =>
    received.slice(before[index]).map((frame) => `${host} ${frame.method}`),
  );
}

describe('a session of a user', () => {
  it.each([0, 1])('on server %i is found by its owner, and used there', async (index) => {
    stored(index, 's', 'alice');
    const resumed = await called(alice, 'session.resume', { sessionId: 's' });
    expect(resumed?.result).toEqual({ sessionId: 's', at: hostOf(index) });
    const looks = requests().length;
    expect((await called(alice, 'session.send', { sessionId: 's' }))?.result).toMatchObject({ at: hostOf(index) });
    expect(requests()).toHaveLength(looks + 1);
  });

  it.each([0, 1])('on server %i takes from a stranger the calls that an unknown id takes', async (index) => {
    stored(index, 's', 'alice');
    await called(alice, 'session.resume', { sessionId: 's' });
    for (const method of ['session.getMessages', 'session.resume', 'session.send', 'session.delete']) {
      const foreign = await costOf(bob, method, 's');
      expect(foreign).toEqual(await costOf(bob, method, 'unknown'));
      expect(foreign.length).toBeGreaterThan(2);
    }
    expect(disks.of(hostOf(index)).has('s')).toBe(true);
  });

  it('is made on the server with the least to do, and stamped there', async () => {
    await called(alice, 'session.create', { sessionId: 'a' });
    await called(bob, 'session.create');
    await called(bob, 'session.create', { sessionId: 'b' });
    expect([0, 1].map((index) => disks.of(hostOf(index)).size)).toEqual([2, 1]);
    expect(disks.of(hostOf(0)).get('b')?.metadata).toMatchObject({ 'copilot-operator.dev/owner': 'bob' });
  });

  it('keeps its id from others, on whatever server', async () => {
    stored(1, 's', 'alice');
    const { error } = (await called(bob, 'session.create', { sessionId: 's' })) ?? {};
    expect(error?.data).toEqual({ rule: 'SessionIdTaken', parameter: 'sessionId' });
  });

  it('that two users make at once belongs to one of them', async () => {
    const ids = [alice.call('session.create', { sessionId: 's' }), bob.call('session.create', { sessionId: 's' })];
    await settle();
    expect(alice.answer(ids[0] ?? 0)?.result).toEqual({ sessionId: 's' });
    expect(bob.answer(ids[1] ?? 0)?.error?.data).toEqual({ rule: 'SessionIdTaken', parameter: 'sessionId' });
    expect([0, 1].filter((index) => disks.of(hostOf(index)).has('s'))).toEqual([0]);
  });

  it('is listed with those on other servers, and no others', async () => {
    stored(0, 'a', 'alice');
    stored(1, 'b', 'bob');
    stored(1, 'c', 'alice');
    const listed = await called(alice, 'session.list');
    expect(listed?.result?.['sessions']).toEqual([
      expect.objectContaining({ sessionId: 'c' }),
      expect.objectContaining({ sessionId: 'a' }),
    ]);
    expect((await called(alice, 'session.getLastId'))?.result).toEqual({ sessionId: 'c' });
    expect((await called(bob, 'session.getLastId'))?.result).toEqual({ sessionId: 'b' });
  });
});

describe('while a server is away', () => {
  /** What a call gets when the time is over in which the server may come back. */
  async function waited(client: ClientEnd, method: string, sessionId: string) {
    const id = client.call(method, { sessionId });
    await world.clock.advance(10_000);
    return client.answer(id);
  }

  it('a stranger waits as long as for an unknown id, and is told the same', async () => {
    stored(0, 's', 'alice');
    world.fleet.scale(2, [1]);
    const [foreign, unknown] = [
      await waited(bob, 'session.getMessages', 's'),
      await waited(bob, 'session.getMessages', 'unknown'),
    ];
    expect(foreign?.error).toMatchObject(AWAY);
    expect(foreign?.error).toEqual(unknown?.error);
  });

  it('also when it said before which sessions it has', async () => {
    stored(1, 's', 'alice');
    await called(bob, 'session.getMessages', { sessionId: 'unknown' });
    world.fleet.scale(2, [1]);
    const foreign = await waited(bob, 'session.getMessages', 's');
    expect(foreign?.error).toMatchObject(AWAY);
    expect((await waited(bob, 'session.getMessages', 'unknown'))?.error).toEqual(foreign?.error);
  });

  it('an owner goes on with what the others have, and may make a session that it does not have', async () => {
    stored(0, 's', 'alice');
    await called(bob, 'session.getMessages', { sessionId: 'unknown' });
    world.fleet.scale(2, [1]);
    expect((await called(alice, 'session.resume', { sessionId: 's' }))?.result).toMatchObject({ at: hostOf(0) });
    expect((await called(alice, 'session.create', { sessionId: 'new' }))?.result).toEqual({ sessionId: 'new' });
  });

  it('a list is none', async () => {
    world.fleet.scale(2, [1]);
    const id = alice.call('session.list');
    await world.clock.advance(10_000);
    expect(alice.answer(id)?.error).toMatchObject(AWAY);
  });
});

it('a call about no session that all servers answer is denied where it is denied with one', async () => {
  expect((await called(alice, 'sessions.list'))?.error).toMatchObject({ code: -32601 });
  expect(requests()).toEqual([]);
});
