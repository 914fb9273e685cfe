// How many turns a server runs at once, in a tenant that limits it, and whose turn it is next.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { turnOrder } from '../../../../src/gateway/relay/limits/turn-order.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

describe('the order of prompts that wait', () => {
  const names = (waiting: readonly string[], running: readonly string[] = []) =>
    turnOrder(
      waiting.map((name) => ({ name, user: name.slice(0, 1) })),
      running,
    ).map(({ name }) => name);

  it.each<[string, readonly string[], readonly string[], readonly string[]]>([
    ['is that of arrival for one user', ['a1', 'a2', 'a3'], [], ['a1', 'a2', 'a3']],
    ['gives each user one before anybody gets two', ['a1', 'a2', 'a3', 'b1', 'c1'], [], ['a1', 'b1', 'c1', 'a2', 'a3']],
    ['counts turns that run', ['a1', 'b1'], ['a'], ['b1', 'a1']],
    ['counts each of them', ['a1', 'b1', 'c1'], ['a', 'a', 'b'], ['c1', 'b1', 'a1']],
    ['is that of arrival between equals', ['b1', 'a1'], ['a', 'b'], ['b1', 'a1']],
  ])('%s', (_, waiting, running, order) => {
    expect(names(waiting, running)).toEqual(order);
  });
});

/** The error of a prompt that was given up on purpose before a server got it. */
const withdrawn = (rule: string) => ({ code: -32054, data: { retryable: false, rule, outcome: 'NotSent' } });

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
  world.fleet.change({ limits: { maxConcurrentTurns: 2 } });
  for (const method of ['session.create', 'session.resume', 'session.send', 'sessions.close'])
    world.answers.set(method, (end, { id, params = {} }) => end.answer(id, { sessionId: params['sessionId'] }));
});

/** A client of the user that is attached to a session of this id. */
async function attached(sessionId: string, user?: string): Promise<ClientEnd> {
  const client = world.client(TENANT, user);
  client.call('session.resume', { sessionId });
  await settle();
  return client;
}

async function prompt(client: ClientEnd, sessionId: string): Promise<number> {
  const id = client.call('session.send', { sessionId, prompt: 'x' });
  await settle();
  return id;
}

/** Sessions whose prompt has reached the server, in this order. */
const sent = () => world.server.all('session.send').map(({ params }) => params?.['sessionId']);

const starts = (sessionId: string) => world.server.event(sessionId, 'user.message');

async function ends(sessionId: string): Promise<void> {
  world.server.event(sessionId, 'session.idle');
  await settle();
}

/** What the client was told of its place. */
const told = (client: ClientEnd): string[] =>
  client.received
    .map(({ params }) => params?.['event'] as { type?: string; data?: { message?: string } } | undefined)
    .flatMap((event) => (event?.type === 'session.info' ? [event.data?.message ?? ''] : []));

describe('a server', () => {
  it('runs so many turns at once, and the next prompt when one has ended', async () => {
    for (const id of ['a', 'b', 'c']) {
      await prompt(await attached(id), id);
      if (id !== 'c') starts(id);
    }
    expect(sent()).toEqual(['a', 'b']);
    await world.clock.advance(60_000);
    expect(sent()).toEqual(['a', 'b']);
    await ends('a');
    await world.clock.advance(100);
    expect(sent()).toEqual(['a', 'b', 'c']);
    expect(await world.counted('queued_prompts_total')).toEqual({ Sent: 1 });
  });

  it('runs any number where the tenant limits none, also from a change on', async () => {
    for (const id of ['a', 'b', 'c', 'd']) {
      await prompt(await attached(id), id);
      if (id < 'c') starts(id);
    }
    expect(sent()).toEqual(['a', 'b']);
    world.fleet.change({ limits: {} });
    await world.clock.advance(100);
    expect(sent()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('counts a prompt that was to go into a turn, and begins one', async () => {
    for (const id of ['a', 'b', 'c']) {
      (await attached(id)).call('session.send', { sessionId: id, prompt: 'x', mode: 'immediate' });
      await settle();
    }
    expect(sent()).toEqual(['a', 'b']);
  });

  it('takes further prompts of a session whose turn runs', async () => {
    const [first, second] = [await attached('a'), await attached('b')];
    for (const [client, id] of [
      [first, 'a'],
      [second, 'b'],
    ] as const) {
      await prompt(client, id);
      starts(id);
    }
    await prompt(first, 'a');
    expect(sent()).toEqual(['a', 'b', 'a']);
  });

  it('is not held up by a prompt that begins no turn, such as a command', async () => {
    for (const id of ['a', 'b', 'c']) await prompt(await attached(id), id);
    expect(sent()).toEqual(['a', 'b']);
    await world.clock.advance(5100);
    expect(sent()).toEqual(['a', 'b', 'c']);
  });

  it('gives each user a turn before somebody gets another one', async () => {
    const clients = new Map<string, ClientEnd>();
    for (const [id, user] of [
      ['a1', 'alice'],
      ['a2', 'alice'],
      ['a3', 'alice'],
      ['a4', 'alice'],
      ['b1', 'bob'],
    ] as const) {
      clients.set(id, await attached(id, user));
      await prompt(clients.get(id) as ClientEnd, id);
      if (id < 'a3') starts(id);
    }
    await ends('a1');
    await world.clock.advance(100);
    expect(sent()).toEqual(['a1', 'a2', 'b1']);
  });
});

describe('a server that drains', () => {
  it('begins none of the turns that wait, and the next one gets them first', async () => {
    world.fleet.change({ limits: { maxConcurrentTurns: 1 } });
    world.answers.set('session.send', (end, { id, params = {} }) => end.answer(id, { messageId: params['sessionId'] }));
    await prompt(await attached('a'), 'a');
    const begun = world.server.event('a', 'user.message', { messageId: 'a', content: 'x' });
    world.journal = [begun, world.server.event('a', 'assistant.message')];
    await prompt(await attached('b'), 'b');
    const late = await attached('c');
    const [before] = world.dials;
    const drain = { server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs: 300_000 };
    world.fleet.change({ drains: [{ ...drain, comesBack: true }] });
    await prompt(late, 'c');
    await ends('a');
    await world.clock.advance(1000);
    expect(world.relay.drains()).toMatchObject([{ isDrained: true }]);
    expect(before?.count('session.send')).toBe(1);
    const [server] = world.fleet.find(TENANT)?.servers ?? [];
    if (server !== undefined) world.fleet.change({ servers: [{ ...server, podUID: 'pod-2' }], drains: undefined });
    await world.clock.advance(1000);
    expect(sent()).toEqual(['b']);
    starts('b');
    await ends('b');
    await world.clock.advance(100);
    expect(sent()).toEqual(['b', 'c']);
  });
});

describe('a prompt that waits for the drain of its server', () => {
  it('is not sent to the next one if it was aborted meanwhile', async () => {
    world.fleet.change({ limits: undefined });
    world.answers.set('sessions.close', (end, { id }) => end.answer(id, {}));
    world.answers.set('session.abort', (end, { id }) => end.answer(id, { success: true }));
    const other = await attached('a');
    await prompt(other, 'a');
    starts('a');
    const client = await attached('b');
    const drain = { server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs: 300_000 };
    world.fleet.change({ drains: [{ ...drain, comesBack: true }] });
    await settle();
    const id = await prompt(client, 'b');
    const abort = client.call('session.abort', { sessionId: 'b' });
    await settle();
    expect(client.answer(abort)?.result).toEqual({ success: true });
    await ends('a');
    await world.clock.advance(1000);
    const [server] = world.fleet.find(TENANT)?.servers ?? [];
    if (server !== undefined) world.fleet.change({ servers: [{ ...server, podUID: 'pod-2' }], drains: undefined });
    await world.clock.advance(1000);
    expect(client.answer(id)?.error).toMatchObject(withdrawn('Aborted'));
    expect(sent()).not.toContain('b');
  });
});

describe('a server that also limits the sessions in its memory', () => {
  const setUp = async () => {
    world.fleet.change({ limits: { maxConcurrent: 1, maxConcurrentTurns: 1 } });
    world.answers.set('session.abort', (end, { id }) => end.answer(id, { success: true }));
    const first = await attached('a');
    await world.clock.advance(10_000);
    return [first, await attached('b')] as const;
  };

  it('gives the turn to a session that is there, while one that waits for a place has none', async () => {
    const [first, second] = await setUp();
    const calls = [
      [first, await prompt(first, 'a')],
      [second, await prompt(second, 'b')],
    ] as const;
    expect(sent()).toEqual(['b']);
    starts('b');
    await ends('b');
    await world.clock.advance(10_100);
    expect(sent()).toEqual(['b', 'a']);
    expect(calls.map(([client, id]) => client.answer(id)?.error)).toEqual([undefined, undefined]);
  });

  it('does not unload a session of which a prompt waits that was to go into the turn of a client that has left', async () => {
    world.fleet.change({ limits: { maxConcurrent: 2, maxConcurrentTurns: 1 } });
    await prompt(await attached('b'), 'b');
    starts('b');
    const [first, second] = [await attached('a'), await attached('a')];
    await prompt(first, 'a');
    const id = second.call('session.send', { sessionId: 'a', prompt: 'x', mode: 'immediate' });
    first.leave();
    await world.clock.advance(10_000);
    world.client().call('session.resume', { sessionId: 'c' });
    await world.clock.advance(100);
    await ends('b');
    await world.clock.advance(100);
    expect([sent(), second.answer(id)?.error]).toEqual([['b', 'a'], undefined]);
  });

  it('does not send what was aborted while it waited for a place', async () => {
    const [first] = await setUp();
    const id = await prompt(first, 'a');
    first.call('session.abort', { sessionId: 'a' });
    await world.clock.advance(10_100);
    expect([sent(), first.answer(id)?.error]).toMatchObject([[], withdrawn('Aborted')]);
  });
});

describe('a client whose prompt waits', () => {
  const fill = async () => {
    for (const id of ['a', 'b']) {
      await prompt(await attached(id), id);
      starts(id);
    }
  };

  it('is told its place, and again when it changes', async () => {
    await fill();
    const [third, fourth] = [await attached('c', 'carol'), await attached('d', 'dave')];
    await prompt(third, 'c');
    await prompt(fourth, 'd');
    expect(told(third)).toEqual([
      'The prompt waits for a turn: it is number 1 of 1, and the server runs 2 at once (spec.sessions.maxConcurrentTurns).',
    ]);
    expect(told(fourth)).toEqual([expect.stringContaining('it is number 2 of 2')]);
    await world.clock.advance(2000);
    await ends('a');
    await world.clock.advance(1000);
    expect(told(fourth)).toEqual([expect.any(String), expect.stringContaining('it is number 1 of 1')]);
    expect(told(third)).toHaveLength(1);
  });

  it('is not told the end of what another client has begun in its session', async () => {
    await fill();
    const [other, third] = [await attached('c'), await attached('c')];
    await prompt(third, 'c');
    await ends('c');
    expect([other.events, third.events]).toEqual([['session.idle'], ['session.info']]);
    await ends('a');
    await world.clock.advance(100);
    starts('c');
    await ends('c');
    expect(third.events.slice(1)).toEqual(['user.message', 'session.idle']);
  });

  it('leaves the queue when it goes', async () => {
    await fill();
    const [third, fourth] = [await attached('c'), await attached('d')];
    await prompt(third, 'c');
    await prompt(fourth, 'd');
    third.handler.closed({ reason: 'ClientClosed', message: 'it has gone' });
    await ends('a');
    await world.clock.advance(100);
    expect(sent()).toEqual(['a', 'b', 'd']);
    expect(await world.counted('queued_prompts_total')).toEqual({ ClientGone: 1, Sent: 1 });
  });

  it('leaves the queue when it leaves the session', async () => {
    await fill();
    const third = await attached('c');
    const id = await prompt(third, 'c');
    third.call('session.detach', { sessionId: 'c' });
    await ends('a');
    await world.clock.advance(100);
    expect(sent()).toEqual(['a', 'b']);
    expect(third.answer(id)?.error).toMatchObject(withdrawn('Left'));
    expect(await world.counted('queued_prompts_total')).toEqual({ Cut: 1 });
    world.answers.set('session.detach', (end, call) => end.answer(call.id, { success: true }));
    await world.clock.advance(61_000);
    expect(world.relay.sessions().map(({ id: sessionId }) => sessionId)).toEqual(['a', 'b']);
  });

  it('aborts it like one that runs', async () => {
    await fill();
    const third = await attached('c');
    const id = await prompt(third, 'c');
    world.answers.set('session.abort', (end, call) => end.answer(call.id, { success: true }));
    const abort = third.call('session.abort', { sessionId: 'c' });
    await ends('a');
    await world.clock.advance(100);
    expect([sent(), third.answer(abort)?.result]).toEqual([['a', 'b'], { success: true }]);
    // An application that sends again by itself what may be sent again would undo its own abort.
    expect(third.answer(id)?.error).toMatchObject(withdrawn('Aborted'));
    await prompt(third, 'c');
    expect(sent()).toEqual(['a', 'b', 'c']);
  });

  it('gets an error when too many wait, and may try again', async () => {
    world = new RelayWorld({ dialQueue: 1 });
    world.fleet.change({ limits: { maxConcurrentTurns: 1 } });
    for (const method of ['session.resume', 'session.send'])
      world.answers.set(method, (end, { id, params = {} }) => end.answer(id, { sessionId: params['sessionId'] }));
    await prompt(await attached('a'), 'a');
    starts('a');
    await prompt(await attached('b'), 'b');
    const last = await attached('c');
    const id = await prompt(last, 'c');
    expect(last.answer(id)?.error).toMatchObject({
      code: -32050,
      data: {
        retryable: true,
        outcome: 'NotSent',
        rule: 'MaxConcurrentTurns',
        field: 'spec.sessions.maxConcurrentTurns',
        limit: 1,
      },
    });
    expect(await world.counted('refused_calls_total')).toEqual({ TurnsFull: 1 });
  });

  it('is told that nothing was sent when its session is deleted', async () => {
    await fill();
    const third = await attached('c');
    const id = await prompt(third, 'c');
    world.answers.set('session.delete', (end, call) => end.answer(call.id, { success: true }));
    third.call('session.delete', { sessionId: 'c' });
    await world.clock.advance(100);
    expect(third.answer(id)?.error).toMatchObject(withdrawn('SessionDeleted'));
    expect(await world.counted('queued_prompts_total')).toEqual({ Cut: 1 });
  });

  it('is told no end of a turn when the server is lost, and its prompt goes to the next one', async () => {
    world.fleet.change({ limits: { maxConcurrentTurns: 1 } });
    await prompt(await attached('a'), 'a');
    starts('a');
    const second = await attached('b');
    const id = await prompt(second, 'b');
    world.server.events.closed(undefined);
    await world.clock.advance(1000);
    expect([world.server.count('session.resume'), sent()]).toEqual([2, ['a']]);
    expect([second.events, second.answer(id)]).toEqual([['session.info'], undefined]);
    await ends('a');
    await world.clock.advance(100);
    expect([sent(), second.answer(id)?.result]).toEqual([['a', 'b'], { sessionId: 'b' }]);
  });
});
