// What waits for a server, or for a session to be loaded: it is bounded by bytes, and forgotten when its client goes.
import { describe, expect, it } from '@jest/globals';
import type { RelayLimits } from '../../../../src/gateway/relay/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';

const SERVER = 'team/acme-0';
const BIG = 'x'.repeat(600);
const AWAY = -32050;

/** A world in which calls wait, and how they go on. */
interface Waiting {
  readonly world: RelayWorld;
  /** A client whose calls wait. */
  readonly client: () => Promise<ClientEnd>;
  /** What was waited for is there. */
  readonly goOn: () => Promise<void>;
}

/** A server that drains: every call waits for the next pod. */
async function draining(limits: Partial<RelayLimits>): Promise<Waiting> {
  const world = new RelayWorld(limits);
  const timeoutMs = 300_000;
  world.fleet.change({ drains: [{ server: SERVER, epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true }] });
  await settle();
  const goOn = async (): Promise<void> => {
    const [server] = world.fleet.find({ namespace: 'team', name: 'acme' })?.servers ?? [];
    if (server === undefined) throw new Error('the tenant has no server');
    world.fleet.change({ servers: [{ ...server, podUID: 'pod-2' }], drains: undefined });
    await settle();
  };
  return { world, client: async () => world.client(), goOn };
}

/** A server that is away: calls wait for the next connection. */
async function away(limits: Partial<RelayLimits>): Promise<Waiting> {
  const world = new RelayWorld({ ...limits, failoverMs: 600_000 });
  await world.attached('other');
  world.isUp = false;
  world.server.events.closed(undefined);
  await settle();
  const goOn = async (): Promise<void> => {
    world.isUp = true;
    await world.clock.advance(1000);
  };
  return { world, client: async () => world.client(), goOn };
}

/** A session that has to be loaded first, on a server that is away. */
async function loading(limits: Partial<RelayLimits>): Promise<Waiting> {
  const world = new RelayWorld({ ...limits, failoverMs: 600_000 });
  for (const method of ['session.resume', 'session.create'])
    world.answers.set(method, (end, { id, params }) => end.answer(id, { sessionId: params?.['sessionId'] }));
  const attach = async (): Promise<ClientEnd> => {
    const client = world.client();
    client.call('session.resume', { sessionId: 's' });
    await settle();
    return client;
  };
  const attached = await Promise.all(Array.from({ length: 10 }, attach));
  world.isUp = false;
  world.server.events.closed(undefined);
  await settle();
  const goOn = async (): Promise<void> => {
    world.isUp = true;
    await world.clock.advance(1000);
  };
  const client = async (): Promise<ClientEnd> => {
    const next = attached.pop();
    if (next === undefined) throw new Error('there are no more clients');
    return next;
  };
  return { world, client, goOn };
}

const PLACES = { draining, away, loading };
const CALL = 'session.mode.set';

describe.each(Object.keys(PLACES) as (keyof typeof PLACES)[])('calls that wait (%s)', (place) => {
  const call = (client: ClientEnd): number => client.call(CALL, { sessionId: 's', big: BIG });

  it('are refused when too many bytes of them wait', async () => {
    const { client } = await PLACES[place]({ dialQueueBytes: 2000 });
    const [a, b] = [await client(), await client()];
    const ids = [call(a), call(a)];
    const refused = call(b);
    await settle();
    expect(ids.map((id) => a.answer(id))).toEqual([undefined, undefined]);
    expect(b.answer(refused)?.error).toMatchObject({ code: AWAY, data: { outcome: 'NotSent' } });
  });

  it('are forgotten when their client goes, and leave their room to others', async () => {
    const { world, client, goOn } = await PLACES[place]({ dialQueueBytes: 2000 });
    for (let count = 0; count < 5; count += 1) {
      const left = await client();
      [call(left), call(left)].forEach((id) => expect(left.answer(id)).toBeUndefined());
      await settle();
      left.leave();
    }
    const stays = await client();
    call(stays);
    await settle();
    const before = world.dials.flatMap((end) => end.all(CALL)).length;
    await goOn();
    expect([before, world.dials.flatMap((end) => end.all(CALL)).length]).toEqual([0, 1]);
  });
});

describe('a client that leaves', () => {
  it('is not attached to a session when its server comes', async () => {
    const { world, client, goOn } = await away({});
    const left = await client();
    left.call('session.resume', { sessionId: 'wanted', tools: [{ name: BIG }] });
    await settle();
    left.leave();
    await goOn();
    expect(world.server.all('session.resume').map(({ params }) => params?.['sessionId'])).toEqual(['other']);
    expect(world.relay.sessions().map(({ id }) => id)).toEqual(['other']);
  });

  it('is not attached after others that wait for the same session, which are', async () => {
    const { world, client, goOn } = await away({});
    const [first, left, last] = [await client(), await client(), await client()];
    const ids = [first, left, last].map((each, index) =>
      each.call('session.resume', { sessionId: 'wanted', tools: [{ name: `tool-${index}` }] }),
    );
    world.answers.set('session.resume', (end, { id, params }) => end.answer(id, { sessionId: params?.['sessionId'] }));
    await settle();
    left.leave();
    await goOn();
    const tools = world.server.all('session.resume').map(({ params }) => JSON.stringify(params?.['tools'] ?? []));
    expect(tools.join()).not.toContain('tool-1');
    expect([first.answer(ids[0] ?? 0), last.answer(ids[2] ?? 0)]).toMatchObject([{ result: {} }, { result: {} }]);
  });

  it('has what its server has yet to answer count in the memory of the tenant, and no longer', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    const left = world.client();
    for (let count = 0; count < 4; count += 1) left.call('session.list', { big: 'x'.repeat(10_000) });
    await settle();
    left.leave();
    await world.clock.advance(200);
    const client = world.client();
    const call = async (): Promise<unknown> => {
      const id = client.call('session.mode.get', { sessionId: 'x', big: 'x'.repeat(20_000) });
      await settle();
      return client.answer(id)?.error?.code;
    };
    expect(await call()).toBe(-32000);
    for (const { id } of world.server.all('session.list')) world.server.answer(id, { sessions: [] });
    await world.clock.advance(200);
    expect(await call()).toBeUndefined();
  });

  it('has small requests without an answer count, too', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    for (let clients = 0; clients < 100; clients += 1) {
      const left = world.client();
      left.call('session.list');
      await settle();
      left.leave();
    }
    await world.clock.advance(200);
    const client = world.client();
    const id = client.call('session.list');
    expect(client.answer(id)?.error?.code).toBe(-32000);
  });

  it('leaves no claim on the memory for a prompt that waited for the turn of another one', async () => {
    const world = new RelayWorld({ keptBytes: 50_000 });
    const [owner, left] = [await world.attached('s'), await world.attached('s')];
    owner.call('session.send', { sessionId: 's', prompt: 'first' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    left.call('session.send', { sessionId: 's', prompt: 'x'.repeat(40_000) });
    left.leave();
    await world.clock.advance(200);
    const client = world.client();
    const id = client.call('session.mode.get', { sessionId: 'x', big: 'x'.repeat(20_000) });
    await settle();
    expect(client.answer(id)).toBeUndefined();
  });

  it('does not take back a prompt that was acknowledged', async () => {
    const { world, client, goOn } = await loading({});
    world.isUp = true;
    await world.clock.advance(1000);
    const owner = await client();
    owner.call('session.send', { sessionId: 's', prompt: 'kept' });
    await settle();
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    world.isUp = false;
    world.server.events.closed(undefined);
    await settle();
    owner.leave();
    world.answers.set('session.send', (end, { id }) => end.answer(id, { messageId: 'n' }));
    await goOn();
    expect(world.server.all('session.send').map(({ params }) => params?.['prompt'])).toEqual(['kept']);
  });
});
