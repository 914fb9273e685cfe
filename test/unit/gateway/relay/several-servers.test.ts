// Tenants with more than one server, frame by frame: which server gets which call.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { SessionDisks } from '../../../support/session-disks.ts';
import { TENANT, hostOf } from '../../../support/static-fleet.ts';

const LOOK = 'sessions.getMetadata';
const AWAY = { code: -32050, data: { retryable: true, retryAfterMs: 250, outcome: 'NotSent' } };

let world: RelayWorld;
let disks: SessionDisks;
let client: ClientEnd;

beforeEach(() => {
  world = new RelayWorld();
  world.fleet.scale(2);
  disks = new SessionDisks(world);
  client = world.client();
});

/** The answer to a call of the client. */
async function called(method: string, params: object = {}, by = client) {
  const id = by.call(method, params);
  await settle();
  return by.answer(id);
}

/** Where the server is on which the session is. */
function placeOf(sessionId: string): number[] {
  return [0, 1, 2].filter((index) => disks.of(hostOf(index)).has(sessionId));
}

function countOf(method: string): number {
  return world.dials.reduce((sum, end) => sum + end.count(method), 0);
}

describe('a new session', () => {
  it('is made on the server with the fewest sessions, and known there from then on', async () => {
    for (const sessionId of ['a', 'b', 'c', 'd']) await called('session.create', { sessionId });
    expect(['a', 'b', 'c', 'd'].map(placeOf)).toEqual([[0], [1], [0], [1]]);
    const looks = countOf(LOOK);
    expect((await called('session.send', { sessionId: 'b' }))?.result).toEqual({ sessionId: 'b', at: hostOf(1) });
    expect(countOf(LOOK)).toBe(looks);
    expect(world.relay.sessions().map(({ id, server }) => [id, server])).toEqual([
      ['a', 'team/acme-0'],
      ['c', 'team/acme-0'],
      ['b', 'team/acme-1'],
      ['d', 'team/acme-1'],
    ]);
  });

  it('is made on the server with fewer turns, whatever the number of sessions', async () => {
    for (const sessionId of ['a', 'b', 'c']) await called('session.create', { sessionId });
    await called('session.send', { sessionId: 'a' });
    world.serverAt(0).event('a', 'user.message');
    disks.add(hostOf(1), 'e');
    await called('session.resume', { sessionId: 'e' });
    await called('session.create', { sessionId: 'd' });
    expect(placeOf('d')).toEqual([1]);
  });

  it('without an id of its client goes by load, too, and no server is asked for it', async () => {
    await called('session.create', { sessionId: 'a' });
    const looks = countOf(LOOK);
    const made = await called('session.create');
    expect(placeOf(String(made?.result?.['sessionId']))).toEqual([1]);
    expect(countOf(LOOK)).toBe(looks);
  });

  it('that two clients make at once is made once', async () => {
    const other = world.client();
    const ids = [client.call('session.create', { sessionId: 'a' }), other.call('session.create', { sessionId: 'a' })];
    await settle();
    expect(placeOf('a')).toEqual([0]);
    expect([client.answer(ids[0] ?? 0)?.result, other.answer(ids[1] ?? 0)?.result]).toEqual([
      { sessionId: 'a' },
      { sessionId: 'a', at: hostOf(0) },
    ]);
    expect(countOf('session.create')).toBe(1);
  });

  it('is made on none that still serves and whose volume is not the tenant’s any more', async () => {
    const { volumes = [] } = world.fleet.find(TENANT) ?? {};
    world.fleet.change({ volumes: volumes.slice(1) });
    for (const sessionId of ['a', 'b']) await called('session.create', { sessionId });
    expect(['a', 'b'].map(placeOf)).toEqual([[1], [1]]);
  });

  it('goes to a server that the tenant has got since', async () => {
    for (const sessionId of ['a', 'b']) await called('session.create', { sessionId });
    world.fleet.scale(3);
    await called('session.create', { sessionId: 'c' });
    expect(placeOf('c')).toEqual([2]);
  });
});

it('searches are counted by whether all servers answered', async () => {
  await called('session.getMessages', { sessionId: 's' });
  world.fleet.scale(2, [1]);
  client.call('session.list');
  await world.clock.advance(10_000);
  expect(await world.counted('searches_total')).toEqual({ Answered: 1, Away: 1 });
});

describe('a session', () => {
  it('is found on the server that has it, once for all calls and clients, and calls stay in their order', async () => {
    disks.add(hostOf(1), 's');
    const other = world.client();
    client.call('session.resume', { sessionId: 's' });
    client.call('session.send', { sessionId: 's', prompt: 'x' });
    other.call('session.mode.get', { sessionId: 's' });
    await settle();
    const methods = world.serverAt(1).received.map(({ method }) => method);
    expect(
      methods.filter((method) => ['session.resume', 'session.send', 'session.mode.get'].includes(method ?? '')),
    ).toEqual(['session.resume', 'session.send', 'session.mode.get']);
    expect(world.serverAt(0).count('session.resume')).toBe(0);
    expect(world.serverAt(0).count(LOOK)).toBe(2);
    await called('session.mode.get', { sessionId: 's' });
    expect(world.serverAt(0).count(LOOK)).toBe(2);
  });

  it('that a client makes although a server has it is resumed there', async () => {
    disks.add(hostOf(1), 's');
    const made = await called('session.create', { sessionId: 's' });
    expect(made?.result).toEqual({ sessionId: 's', at: hostOf(1) });
    expect(placeOf('s')).toEqual([1]);
  });

  it('that no server has is unknown in the words of a server, and that is not remembered', async () => {
    const unknown = await called('session.getMessages', { sessionId: 's' });
    expect(unknown?.error?.message).toBe('Session not found: s');
    disks.add(hostOf(1), 's');
    expect((await called('session.getMessages', { sessionId: 's' }))?.result).toMatchObject({ at: hostOf(1) });
  });

  it('that was deleted may be made anew on another server', async () => {
    await called('session.create', { sessionId: 'a' });
    await called('session.delete', { sessionId: 'a' });
    await called('session.create', { sessionId: 'b' });
    await called('session.create', { sessionId: 'a' });
    expect([placeOf('b'), placeOf('a')]).toEqual([[0], [1]]);
  });

  it('is deleted where it is', async () => {
    disks.add(hostOf(1), 's');
    expect((await called('session.delete', { sessionId: 's' }))?.result).toEqual({ success: true });
    expect(placeOf('s')).toEqual([]);
  });

  it('of each server is heard of by all clients, and found by that', async () => {
    await called('session.getMessages', { sessionId: 's' });
    disks.add(hostOf(1), 's');
    const looks = countOf(LOOK);
    const params = { sessionId: 's', type: 'session.created' };
    world.serverAt(1).send(JSON.stringify({ jsonrpc: '2.0', method: 'session.lifecycle', params }));
    expect(client.received.at(-1)).toMatchObject({ method: 'session.lifecycle', params });
    expect((await called('session.getMessages', { sessionId: 's' }))?.result).toMatchObject({ at: hostOf(1) });
    expect(countOf(LOOK)).toBe(looks);
  });
});

describe('while a server is away', () => {
  it('a session that only it may have is waited for, and found there', async () => {
    disks.add(hostOf(1), 's');
    world.fleet.scale(2, [1]);
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(3000);
    expect(client.answer(id)).toBeUndefined();
    world.fleet.scale(2);
    await settle();
    expect(client.answer(id)?.result).toEqual({ sessionId: 's', at: hostOf(1) });
    expect(world.serverAt(0).count('session.resume')).toBe(0);
  });

  it('the wait ends with an error that names it, and nothing is made elsewhere', async () => {
    world.fleet.scale(2, [1]);
    const ids = ['session.resume', 'session.create'].map((method) => client.call(method, { sessionId: 's' }));
    await world.clock.advance(10_000);
    for (const id of ids) {
      expect(client.answer(id)?.error).toMatchObject(AWAY);
      expect(client.answer(id)?.error?.message).toContain('server acme-1 of tenant team/acme cannot be reached now');
    }
    expect(countOf('session.create')).toBe(0);
  });

  it('sessions that another one has go on, also those that were never asked for', async () => {
    disks.add(hostOf(0), 's');
    world.fleet.scale(2, [1]);
    expect((await called('session.resume', { sessionId: 's' }))?.result).toEqual({ sessionId: 's', at: hostOf(0) });
  });

  it('new sessions are made, once it has said what it has', async () => {
    disks.add(hostOf(1), 's');
    await called('session.getMessages', { sessionId: 'x' });
    world.fleet.scale(2, [1]);
    await called('session.create', { sessionId: 'a' });
    expect(placeOf('a')).toEqual([0]);
    const id = client.call('session.create', { sessionId: 's' });
    await world.clock.advance(10_000);
    expect(client.answer(id)?.error).toMatchObject(AWAY);
  });

  it('the same where its pod serves and cannot be dialled', async () => {
    disks.add(hostOf(1), 's');
    await called('session.getMessages', { sessionId: 'x' });
    world.down.add(hostOf(1));
    world.serverAt(1).events.closed(undefined);
    client.call('session.create', { sessionId: 'a' });
    await world.clock.advance(1000);
    expect(placeOf('a')).toEqual([0]);
  });

  it('a list is none without its sessions', async () => {
    world.fleet.scale(2, [1]);
    const id = client.call('session.list');
    await world.clock.advance(10_000);
    expect(client.answer(id)?.error).toMatchObject(AWAY);
    expect(client.answer(id)?.error?.message).toContain('acme-1');
  });
});

describe('while a server drains', () => {
  const drain = { server: 'team/acme-0', epoch: 1, podUID: 'pod-of-0', comesBack: true };
  const drains = () => [{ ...drain, timeoutMs: 60_000 }];

  it('new sessions are made on others', async () => {
    await called('session.getMessages', { sessionId: 'x' });
    world.fleet.change({ drains: drains() });
    for (const sessionId of ['a', 'b']) await called('session.create', { sessionId });
    expect(['a', 'b'].map(placeOf)).toEqual([[1], [1]]);
  });

  it('a session that it may have, and a list, wait for the pod that follows', async () => {
    disks.add(hostOf(0), 's');
    world.fleet.change({ drains: drains() });
    const [resume, list] = [client.call('session.resume', { sessionId: 's' }), client.call('session.list')];
    for (let waited = 0; waited < 5; waited++) await world.clock.advance(7000);
    expect([client.answer(resume), client.answer(list)]).toEqual([undefined, undefined]);
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    const next = servers.map((server) => (server.key === drain.server ? { ...server, podUID: 'next' } : server));
    world.fleet.change({ servers: next, drains: undefined });
    await settle();
    expect(client.answer(resume)?.result).toEqual({ sessionId: 's', at: hostOf(0) });
    expect(client.answer(list)?.result?.['sessions']).toEqual([expect.objectContaining({ sessionId: 's' })]);
  });
});

describe('a server that the tenant has no more', () => {
  it('keeps its sessions with its volume, and says how to get them back', async () => {
    for (const sessionId of ['a', 'b']) await called('session.create', { sessionId });
    world.fleet.scale(1);
    for (const method of ['session.send', 'session.create']) {
      const { error } = (await called(method, { sessionId: 'b' })) ?? {};
      expect(error).toMatchObject(AWAY);
      expect(error?.message).toBe(
        'the session is on the volume of server acme-1, which the tenant does not run any more; raise spec.replicas to 2 and try again',
      );
    }
    expect((await called('session.send', { sessionId: 'a' }))?.result).toMatchObject({ at: hostOf(0) });
    world.fleet.scale(2);
    expect((await called('session.send', { sessionId: 'b' }))?.result).toMatchObject({ at: hostOf(1) });
  });

  it('is not asked any more, and is forgotten when nobody uses its sessions', async () => {
    disks.add(hostOf(1), 's');
    await called('session.getMessages', { sessionId: 's' });
    world.fleet.scale(1);
    expect(world.relay.servers().map(({ server }) => server)).toEqual(['team/acme-0']);
    expect((await called('session.list'))?.result).toEqual({ sessions: [] });
  });
});

describe('what concerns the sessions of all servers', () => {
  it('is answered by all of them, the newest session first', async () => {
    for (const [index, id] of [0, 1, 0, 1].map((each, at) => [each, `s${at}`] as const)) disks.add(hostOf(index), id);
    const listed = (await called('session.list'))?.result?.['sessions'] as { sessionId: string }[];
    expect(listed.map(({ sessionId }) => sessionId)).toEqual(['s3', 's2', 's1', 's0']);
    expect((await called('session.getLastId'))?.result).toEqual({ sessionId: 's3' });
    disks.add(hostOf(0), 's0');
    expect((await called('session.getLastId'))?.result).toEqual({ sessionId: 's0' });
  });

  it('is refused as a server refuses it', async () => {
    world.answers.set('session.list', (end, { id }) => end.refuse(id, 'no'));
    expect((await called('session.list'))?.error).toEqual({ code: -32603, message: 'no' });
  });

  it('is deleted on all of them', async () => {
    await called('session.create', { sessionId: 'a' });
    await called('session.create', { sessionId: 'b' });
    world.answers.set('sessions.bulkDelete', (end, { id, params }) => {
      const ids = params?.['sessionIds'] as string[];
      end.answer(id, {
        freedBytes: Object.fromEntries(ids.map((each) => [each, disks.of(end.host).delete(each) ? 7 : 0])),
      });
    });
    const deleted = await called('sessions.bulkDelete', { sessionIds: ['a', 'b'] });
    expect(deleted?.result).toEqual({ freedBytes: { a: 7, b: 7 } });
    expect(world.relay.sessions()).toEqual([]);
  });

  it('goes to one server where there is one, as it is', async () => {
    world.fleet.scale(1);
    disks.add(hostOf(0), 's');
    await called('session.list');
    await called('session.getLastId');
    await called('session.resume', { sessionId: 's' });
    expect(world.serverAt(0).received.map(({ method }) => method)).toEqual([
      'connect',
      'session.list',
      'session.getLastId',
      'session.resume',
    ]);
  });

  it('and anything else about no session goes to the first server that serves', async () => {
    world.fleet.scale(2, [0]);
    client.call('status.get');
    await settle();
    expect(world.serverAt(1).count('status.get')).toBe(1);
  });
});
