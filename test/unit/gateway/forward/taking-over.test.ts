// What a client was in the middle of at a home that is gone, and how it goes on at the next one.
import { describe, expect, it } from '@jest/globals';
import { journalEvent, type ClientEnd } from '../../../support/relay-world.ts';
import { RoutedWorld, type Replica } from '../../../support/routed-world.ts';

const RULES = 'session.permissions.modifyRules';
const ALL = 'session.permissions.setApproveAll';
const SEND = 'session.send';
const PERMISSIONS = 'session.permissions.pendingRequests';
const TOOLS = 'session.tools.listPendingRequests';

/** The servers of the replica work on the session, and wait for these. */
function isActive(replica: Replica, pending: Readonly<Record<string, readonly string[]>> = {}): void {
  replica.local.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
  for (const method of [PERMISSIONS, TOOLS]) {
    replica.answers(method, () => ({ items: (pending[method] ?? []).map((requestId) => ({ requestId })) }));
  }
}

/** A turn of the client that its home has begun. */
async function began(world: RoutedWorld, client: ClientEnd, prompt = 'p') {
  const call = client.call(SEND, { sessionId: 's', prompt });
  await world.settle();
  const { server } = world.replica('b').local;
  server.answer(server.last(SEND).id, { messageId: `m-${prompt}` });
  const event = server.event('s', 'user.message', { messageId: `m-${prompt}`, content: prompt });
  await world.settle();
  return { call, event };
}

/** All that the client got as answers to one call. */
const answersTo = (client: ClientEnd, call: number) =>
  client.received.filter(({ id, method }) => id === call && method === undefined);

async function dies(world: RoutedWorld, next = 'c'): Promise<Replica> {
  world.kill('b', next);
  await world.settle();
  return world.replica(next);
}

describe('rules of a session', () => {
  it.each(['a', 'b'])('that a client at %s has set and left are told by the holder of another one', async (at) => {
    const world = new RoutedWorld();
    const early = await world.attached('a', 's');
    const other = await world.attached(at, 's');
    other.call(RULES, { sessionId: 's', add: ['r'] });
    await world.settle();
    other.leave();
    const late = await world.attached('c', 's');
    await world.settle();
    const next = await dies(world, 'a');
    expect(next.received(RULES)).toMatchObject([{ params: { add: ['r'] } }]);
    expect([early.cuts, late.cuts]).toEqual([[], []]);
  });

  it.each([
    { at: 'a', missing: 'c', told: [true, false] },
    { at: 'c', missing: 'a', told: [false] },
  ])('are the last ones, also if the holder at the home $at comes first', async ({ at, missing, told }) => {
    const world = new RoutedWorld();
    await world.attached('a', 's');
    const author = await world.attached('c', 's');
    for (const replica of world.replicas.values()) replica.answers(ALL, () => ({}));
    author.call(ALL, { sessionId: 's', enabled: true });
    await world.settle();
    // It does not hear of the next one.
    world.replica('a').streams[0]?.pause();
    author.call(ALL, { sessionId: 's', enabled: false });
    await world.settle();
    world.replica(missing).homes.isUnavailable = true;
    const home = await dies(world, at);
    world.replica('a').homes.peerGone('b');
    await world.settle();
    world.replica(missing).homes.isUnavailable = false;
    await world.clock.advance(3000);
    await world.settle();
    expect(home.received(ALL).map(({ params }) => params?.['enabled'])).toEqual(told);
    expect(new Set(home.relay.sessions()[0]?.clients)).toEqual(new Set([1, `${missing}/1`]));
  });

  it('are told a server that has loaded the session for a client that knew none', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    client.call(RULES, { sessionId: 's', add: ['r'] });
    await world.settle();
    const c = world.replica('c');
    world.replica('a').homes.isUnavailable = true;
    await dies(world);
    await world.attached('c', 's');
    expect(c.received(RULES)).toEqual([]);
    world.replica('a').homes.isUnavailable = false;
    await world.clock.advance(3000);
    await world.settle();
    expect(c.received(RULES)).toMatchObject([{ params: { add: ['r'] } }]);
  });

  it('of which there were more than are kept keep it from being restored, and its clients are told', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const other = await world.attached('b', 's');
    for (let n = 0; n <= 1024; n += 1) {
      other.call(RULES, { sessionId: 's', add: [`r${n}`] });
      if (n % 100 === 0) await world.settle();
    }
    await world.settle();
    await dies(world);
    expect(client.events).toEqual(['session.error', 'session.idle']);
    expect(client.cuts).toEqual([]);
  });
});

describe('a turn of a home that is gone', () => {
  it('is begun again once, for all its clients, and each gets what it has missed', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const other = await world.attached('c', 's');
    const { event } = await began(world, client);
    const missed = journalEvent('assistant.message', { content: 'so far', toolRequests: [{ name: 'bash' }] });
    for (const id of ['a', 'c']) world.replica(id).local.journal = [event, missed];
    const next = await dies(world);
    expect(next.received('session.sendMessages')).toMatchObject([{ params: { sessionId: 's', messages: [] } }]);
    next.local.server.event('s', 'session.idle');
    await world.settle();
    const all = ['user.message', 'assistant.message', 'session.idle'];
    expect([client.events, other.events]).toEqual([all, all]);
    expect(next.local.logged).toContainEqual({
      audit: true,
      server: 'team/acme-0',
      session: 's',
      recovered: 'Continued',
    });
  });

  it('is begun again also if the server is lost in the moment in which it has loaded the session', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const { local } = world.replica('c');
    local.journal = [event];
    let loads = 0;
    local.answers.set('session.resume', (end, { id }) => {
      loads += 1;
      end.answer(id, { sessionId: 's' });
      if (loads === 1) end.events.closed(undefined);
    });
    // The next one does not have it yet.
    local.activityAnswer = (end, id) =>
      end.count('session.resume') > 0
        ? end.answer(id, { hasActiveWork: false })
        : end.refuse(id, 'Session not found: s');
    await dies(world);
    expect([local.dials.length, local.server.count('session.sendMessages')]).toEqual([2, 1]);
    local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  it('that has ended meanwhile is told to its client', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const idle = await world.attached('a', 's');
    const { event } = await began(world, client);
    world.replica('c').local.journal = [event, journalEvent('assistant.message', { content: 'done' })];
    const next = await dies(world);
    expect(next.received('session.sendMessages')).toEqual([]);
    const all = ['user.message', 'assistant.message', 'session.idle'];
    expect([client.events, idle.events]).toEqual([all, all]);
  });

  it('and that the server then drops is begun again', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const c = world.replica('c');
    c.local.journal = [event];
    isActive(c);
    await dies(world);
    c.local.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: false });
    await world.clock.advance(12_000);
    expect(c.received('session.sendMessages')).toHaveLength(1);
    c.local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  it('is told once, and its prompt answered once, also if the server is lost while it is begun again', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const call = client.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    const { local } = world.replica('c');
    local.journal = [
      journalEvent('user.message', { messageId: 'm', content: 'p' }),
      journalEvent('assistant.message', { content: 'so far', toolRequests: [{ name: 'bash' }] }),
    ];
    let begins = 0;
    local.answers.set('session.sendMessages', (end, { id }) => {
      begins += 1;
      if (begins === 1) end.events.closed(undefined);
      else end.answer(id, { messageIds: [] });
    });
    await dies(world);
    expect([local.dials.length, begins]).toEqual([2, 2]);
    local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.events).toEqual(['user.message', 'assistant.message', 'session.idle']);
    expect(answersTo(client, call)).toMatchObject([{ result: { messageId: 'm' } }]);
  });

  it('is told once, and its prompt answered once, also if the server does not say in time that it is begun again', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const call = client.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    const c = world.replica('c');
    c.local.journal = [journalEvent('user.message', { messageId: 'm', content: 'p' })];
    c.local.answers.set('session.sendMessages', () => undefined);
    await dies(world);
    await world.clock.advance(119_000);
    c.answers('session.sendMessages', () => ({ messageIds: [] }));
    isActive(c);
    await world.clock.advance(10_000);
    await world.settle();
    expect(c.received('session.resume').length).toBeGreaterThan(1);
    c.local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.events).toEqual(['user.message', 'session.idle']);
    expect(answersTo(client, call)).toMatchObject([{ result: { messageId: 'm' } }]);
  });

  it('ends with an error if the server refuses to go on, and the session can be used', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const { local } = world.replica('c');
    local.journal = [event];
    local.answers.set('session.sendMessages', (end, { id }) => end.refuse(id, 'no'));
    await dies(world);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    client.call('session.getMessages', { sessionId: 's' });
    await world.settle();
    expect(local.server.count('session.getMessages')).toBe(1);
  });

  it('that the server refuses to go on with has its prompt answered once', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const call = client.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    const { local } = world.replica('c');
    local.journal = [journalEvent('user.message', { messageId: 'm', content: 'p' })];
    local.answers.set('session.sendMessages', (end, { id }) => end.refuse(id, 'no'));
    await dies(world);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(answersTo(client, call)).toMatchObject([{ result: { messageId: 'm' } }]);
  });

  it('is told to be cut by a home of an earlier version', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    await began(world, client);
    const open = client.call(SEND, { sessionId: 's', prompt: 'second' });
    await world.settle();
    world.isEarlier = true;
    await dies(world);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(client.answer(open)?.error).toMatchObject({ code: -32050, data: { outcome: 'Unknown' } });
  });

  it('and was told to be cut by a home of an earlier version is not begun again by a later one', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const open = client.call(SEND, { sessionId: 's', prompt: 'second' });
    await world.settle();
    world.isEarlier = true;
    await dies(world);
    expect(client.answer(open)?.error).toMatchObject({ code: -32050 });
    world.isEarlier = false;
    world.replica('a').local.journal = [event];
    world.kill('c', 'a');
    await world.settle();
    const a = world.replica('a');
    expect(a.received('session.resume')).toHaveLength(1);
    expect([a.received(SEND), a.received('session.sendMessages')]).toEqual([[], []]);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
  });

  it('is told to be cut when there is no home for long', async () => {
    const world = new RoutedWorld({ goOnMs: 10_000 });
    const client = await world.attached('a', 's');
    await began(world, client);
    const open = client.call(SEND, { sessionId: 's', prompt: 'second' });
    await world.settle();
    world.replica('a').homes.isUnavailable = true;
    await dies(world);
    await world.clock.advance(9000);
    expect(client.events).toEqual(['user.message']);
    await world.clock.advance(2000);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(client.answer(open)?.error).toMatchObject({ code: -32050, data: { outcome: 'Unknown' } });
    world.replica('a').homes.isUnavailable = false;
    await world.clock.advance(3000);
    await world.settle();
    expect(world.replica('c').received('session.resume')).toHaveLength(1);
  });
});

describe('a prompt that a home has not answered', () => {
  it.each(['a', 'b'])('of a client at %s is acknowledged if the journal has it', async (at) => {
    const world = new RoutedWorld();
    const client = await world.attached(at, 's');
    const call = client.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    world.replica('c').local.journal = [journalEvent('user.message', { messageId: 'm', content: 'p' })];
    if (at === 'a') await dies(world);
    else {
      world.directory.next = 'c';
      world.replica('b').homes.fence();
      await world.settle();
    }
    expect(client.answer(call)?.result).toEqual({ messageId: 'm' });
    expect(world.replica('c').received(SEND)).toEqual([]);
  });

  it.each(['a', 'b'])('of a client at %s is sent if it has not, with what waited for its turn', async (at) => {
    const world = new RoutedWorld();
    const client = await world.attached(at, 's');
    const other = await world.attached(at, 's');
    const [call, held] = [client, other].map((each, n) => each.call(SEND, { sessionId: 's', prompt: `p${n}` }));
    await world.settle();
    expect(world.replica('b').received(SEND)).toHaveLength(1);
    if (at === 'a') await dies(world);
    else {
      world.directory.next = 'c';
      world.replica('b').homes.fence();
      await world.settle();
    }
    const { server } = world.replica('c').local;
    expect(server.all(SEND)).toMatchObject([{ params: { prompt: 'p0' } }]);
    server.answer(server.last(SEND).id, { messageId: 'm' });
    for (const type of ['user.message', 'session.idle']) server.event('s', type);
    await world.settle();
    server.answer(server.last(SEND).id, { messageId: 'n' });
    await world.settle();
    expect(server.all(SEND)).toMatchObject([{ params: { prompt: 'p0' } }, { params: { prompt: 'p1' } }]);
    expect([client.answer(call ?? 0)?.result, other.answer(held ?? 0)?.result]).toEqual([
      { messageId: 'm' },
      { messageId: 'n' },
    ]);
  });

  it('and was to be taken over at a home that is fenced meanwhile, goes on at the one after it, with the rules', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    client.call(RULES, { sessionId: 's', add: ['r'] });
    await world.settle();
    const call = client.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    const a = world.replica('a');
    a.local.answers.delete('session.resume');
    await dies(world, 'a');
    expect(a.received('session.resume')).toHaveLength(1);
    world.directory.next = 'c';
    a.homes.fence();
    await world.clock.advance(1000);
    await world.settle();
    const c = world.replica('c');
    expect(c.received(RULES)).toMatchObject([{ params: { add: ['r'] } }]);
    c.local.server.answer(c.local.server.last(SEND).id, { messageId: 'm' });
    await world.settle();
    expect([client.answer(call)?.result, c.received('session.resume').length]).toEqual([{ messageId: 'm' }, 1]);
    expect(client.received.every(({ id }) => id === undefined || typeof id === 'number')).toBe(true);
  });

  it('but was a command, which has no end, is neither sent again nor blocks the turn', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const command = client.call(SEND, { sessionId: 's', prompt: '/help' });
    await world.settle();
    const { server } = world.replica('b').local;
    server.answer(server.last(SEND).id, { messageId: 'm' });
    await world.clock.advance(60_000);
    const next = await dies(world);
    expect([client.answer(command)?.result, next.received(SEND)]).toEqual([{ messageId: 'm' }, []]);
    const other = await world.attached('c', 's');
    other.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    expect(next.received(SEND)).toMatchObject([{ params: { prompt: 'p' } }]);
  });

  it('and may have been a command, is sent again, and keeps others waiting for a moment only', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    client.call(SEND, { sessionId: 's', prompt: '/help' });
    await world.settle();
    const { server } = world.replica('b').local;
    server.answer(server.last(SEND).id, { messageId: 'm' });
    await world.settle();
    world.replica('c').answers(SEND, () => ({ messageId: 'n' }));
    const next = await dies(world);
    expect(next.received(SEND)).toMatchObject([{ params: { prompt: '/help' } }]);
    expect(client.events).toEqual([]);
    const other = await world.attached('c', 's');
    other.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    expect(next.received(SEND)).toHaveLength(1);
    await world.clock.advance(60_000);
    expect(next.received(SEND)).toHaveLength(2);
  });

  it('and that home is still there, is neither sent again nor lost', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const call = client.call(SEND, { sessionId: 's', prompt: 'queued' });
    await world.settle();
    const b = world.replica('b');
    b.local.journal = [event];
    isActive(b);
    // Only the stream between them is lost.
    for (const stream of b.streams) stream.destroy();
    await world.settle();
    await world.clock.advance(1000);
    b.local.server.answer(b.local.server.last(SEND).id, { messageId: 'm-queued' });
    b.local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.answer(call)?.result).toEqual({ messageId: 'm-queued' });
    expect([b.received(SEND).length, b.received('session.sendMessages').length]).toEqual([2, 0]);
    expect(client.events).toEqual(['user.message', 'session.idle']);
    expect(b.relay.sessions()).toMatchObject([{ clients: ['a/1'] }]);
  });
});

describe('a client whose prompt no server has got', () => {
  it.each(Array.from({ length: 16 }, (_, turns) => turns))(
    'is told once what it has missed, and its prompt is sent once, if the server is lost %i microtasks after it was asked',
    async (turns) => {
      const world = new RoutedWorld();
      const client = await world.attached('a', 's');
      client.call(SEND, { sessionId: 's', prompt: 'p' });
      await world.settle();
      const { local } = world.replica('c');
      local.journal = [
        journalEvent('user.message', { messageId: 'm', content: 'q' }),
        journalEvent('assistant.message'),
      ];
      const { activityAnswer } = local;
      local.activityAnswer = (end, id) => {
        local.activityAnswer = activityAnswer;
        end.answer(id, { hasActiveWork: false });
        const lose = (left: number): void =>
          left === 0 ? end.events.closed(undefined) : queueMicrotask(() => lose(left - 1));
        lose(turns);
      };
      await dies(world);
      await world.settle();
      expect(local.dials).toHaveLength(2);
      expect(client.events).toEqual(['user.message', 'assistant.message']);
      expect(local.server.count(SEND)).toBe(1);
      expect(world.replica('c').relay.sessions()).toMatchObject([{ clients: ['a/1'] }]);
    },
  );
});

describe('a turn that begins at the next home', () => {
  it('is told from its begin to a client that comes after it, and has seen nothing of the session yet', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const other = await world.attached('a', 's');
    client.call(SEND, { sessionId: 's', prompt: 'p' });
    await world.settle();
    const { local } = world.replica('c');
    local.answers.set(SEND, (end, { id }) => {
      end.answer(id, { messageId: 'm' });
      const begun = end.event('s', 'user.message', { messageId: 'm', content: 'p' });
      local.journal = [begun, end.event('s', 'user.message', { messageId: 'n', content: 'q' })];
    });
    const { server } = (await dies(world)).local;
    server.event('s', 'session.idle');
    await world.settle();
    const all = ['user.message', 'user.message', 'session.idle'];
    expect([client.events, other.events]).toEqual([all, all]);
  });
});

describe('a prompt that was acknowledged', () => {
  it('and of which the begin was lost with a server is sent again, although its client has seen that and what followed', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client, 'first');
    await began(world, client, 'second');
    const { server } = world.replica('b').local;
    const later = server.event('s', 'tool.execution_start');
    await world.settle();
    const { local } = world.replica('c');
    local.journal = [event, later];
    isActive(world.replica('c'));
    const c = await dies(world);
    expect(c.received(SEND)).toMatchObject([{ params: { prompt: 'second' } }]);
  });

  it('and that was begun at two servers, which both lost that, is sent again, although what came between is written', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client, 'first');
    const { event: begun } = await began(world, client, 'second');
    const { server } = world.replica('b').local;
    const later = server.event('s', 'assistant.turn_start');
    server.event('s', 'user.message', begun.data);
    await world.settle();
    const { local } = world.replica('c');
    local.journal = [event, later];
    isActive(world.replica('c'));
    const c = await dies(world);
    expect(c.received(SEND)).toMatchObject([{ params: { prompt: 'second' } }]);
  });

  it('and waits behind a turn goes along from home to home, also where its client is connected to one', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const second = client.call(SEND, { sessionId: 's', prompt: 'second' });
    await world.settle();
    world.replica('b').local.server.answer(world.replica('b').local.server.last(SEND).id, { messageId: 'n' });
    await world.settle();
    expect(client.answer(second)?.result).toEqual({ messageId: 'n' });
    for (const id of ['a', 'c']) {
      const replica = world.replica(id);
      isActive(replica);
      replica.local.journal = [event];
      replica.answers(SEND, () => ({ messageId: `n-at-${id}` }));
    }
    const a = await dies(world, 'a');
    world.directory.next = 'c';
    a.homes.fence();
    await world.settle();
    const prompts = ['a', 'c'].map((id) =>
      world
        .replica(id)
        .received(SEND)
        .map(({ params }) => params?.['prompt']),
    );
    expect(prompts).toEqual([['second'], ['second']]);
  });
});

describe('a prompt of a client that has come again to the same home', () => {
  it('keeps nobody from the next turn', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    client.call(SEND, { sessionId: 's', prompt: 'queued' });
    await world.settle();
    const b = world.replica('b');
    b.local.journal = [event];
    isActive(b);
    for (const stream of b.streams) stream.destroy();
    await world.settle();
    await world.clock.advance(1000);
    b.local.server.answer(b.local.server.last(SEND).id, { messageId: 'm-queued' });
    b.local.server.event('s', 'session.idle');
    client.call(SEND, { sessionId: 's', prompt: 'next' });
    await world.settle();
    expect(b.received(SEND).map(({ params }) => params?.['prompt'])).toEqual(['p', 'queued', 'next']);
  });

  it('is answered also if the server is lost before it answers', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    const call = client.call(SEND, { sessionId: 's', prompt: 'queued' });
    await world.settle();
    const b = world.replica('b');
    b.local.journal = [event];
    isActive(b);
    for (const stream of b.streams) stream.destroy();
    await world.settle();
    await world.clock.advance(1000);
    expect(b.relay.sessions()).toMatchObject([{ clients: ['a/1'] }]);
    b.local.journal = [event, journalEvent('user.message', { messageId: 'm-queued', content: 'queued' })];
    b.local.server.events.closed(undefined);
    await world.settle();
    expect(answersTo(client, call)).toMatchObject([{ result: { messageId: 'm-queued' } }]);
  });
});

describe('what a session waits for when its home is gone', () => {
  const tool = { tools: [{ name: 'lookup' }] };

  async function asked(type: string, data: object, method: string) {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', tool);
    const { event } = await began(world, client);
    const question = world.replica('b').local.server.event('s', type, { requestId: 'r', ...data });
    await world.settle();
    expect(client.events.filter((each) => each === type)).toHaveLength(1);
    const { local } = world.replica('c');
    local.journal = [event, question];
    const c = world.replica('c');
    isActive(c, { [method]: ['r'] });
    c.answers('sessions.getMetadata', () => ({ session: { modifiedTime: new Date(world.clock.now()).toISOString() } }));
    c.answers('session.permissions.getMode', () => ({ mode: 'manual' }));
    return { world, client, count: (end: ClientEnd) => end.events.filter((each) => each === type).length };
  }

  it('is asked of a client once, and of another one that comes', async () => {
    const { world, client, count } = await asked('permission.requested', {}, PERMISSIONS);
    const c = await dies(world);
    const late = await world.attached('a', 's');
    expect([count(client), count(late)]).toEqual([1, 1]);
    expect(c.received('session.sendMessages')).toEqual([]);
    c.local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.events.at(-1)).toBe('session.idle');
  });

  it('is run by the client that has begun with it, also if another one comes first that could', async () => {
    const { world, client, count } = await asked('external_tool.requested', { toolName: 'lookup' }, TOOLS);
    world.replica('a').homes.isUnavailable = true;
    await dies(world);
    const other = await world.attached('c', 's', tool);
    world.replica('a').homes.isUnavailable = false;
    await world.clock.advance(4000);
    await world.settle();
    await world.clock.advance(10_000);
    expect([count(client), count(other)]).toEqual([1, 0]);
  });

  it('is run by another one if nobody comes who has begun with it', async () => {
    const { world, client, count } = await asked('external_tool.requested', { toolName: 'lookup' }, TOOLS);
    client.leave();
    world.kill('b', 'c');
    const other = await world.attached('c', 's', tool);
    expect(count(other)).toBe(0);
    await world.clock.advance(6000);
    expect(count(other)).toBe(1);
  });
});

describe('a session of which no client is left', () => {
  const MODE = 'session.permissions.setMode';

  /** A client comes to `c` for it, of which the journal has a turn without an end, `ms` after that. */
  async function comes(ms: number, aheadMs = 0) {
    const world = new RoutedWorld();
    const c = world.replica('c');
    world.directory.next = 'c';
    const modifiedTime = new Date(world.clock.now() - ms).toISOString();
    const timestamp = new Date(world.clock.now()).toISOString();
    c.answers('ping', () => ({ timestamp }));
    world.clock.jumpWallClock(aheadMs);
    c.local.answers.set('sessions.getMetadata', (end, { id }) => end.answer(id, { session: { modifiedTime } }));
    c.answers('session.permissions.getMode', () => ({ mode: 'allow-all' }));
    c.answers(MODE, () => ({}));
    c.local.journal = [{ ...journalEvent('user.message', { messageId: 'm', content: 'p' }), timestamp: modifiedTime }];
    const client = await world.attached('c', 's');
    await world.settle();
    return { client, c };
  }

  it('goes on when one comes, and asks for what it would have allowed by itself', async () => {
    const { client, c } = await comes(1000);
    expect(c.received('session.resume')).toMatchObject([{ params: { continuePendingWork: true } }]);
    const methods = c.local.server.received.map(({ method }) => method);
    expect(c.received(MODE)).toMatchObject([{ params: { mode: 'manual' } }]);
    expect(methods.indexOf(MODE)).toBeLessThan(methods.indexOf('session.sendMessages'));
    expect(c.received('session.sendMessages')).toHaveLength(1);
    expect(client.events).toEqual(['user.message']);
  });

  it('is not begun again for a client that a holder of an earlier version has had cut there', async () => {
    const world = new RoutedWorld();
    const c = world.replica('c');
    const at = () => new Date(world.clock.now()).toISOString();
    c.answers('sessions.getMetadata', () => ({ session: { modifiedTime: at() } }));
    c.answers('session.permissions.getMode', () => ({ mode: 'allow-all' }));
    c.answers(MODE, () => ({}));
    world.areHoldersEarlier = true;
    const client = await world.attached('a', 's');
    const { event } = await began(world, client);
    c.local.journal = [{ ...event, timestamp: at() }];
    await dies(world);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(c.received('session.resume')).toHaveLength(1);
    expect([c.received(MODE), c.received('session.sendMessages')]).toEqual([[], []]);
  });

  it.each([3_600_000, -3_600_000])('goes on if the clock of the replica is %i ms ahead', async (aheadMs) => {
    const { c } = await comes(1000, aheadMs);
    expect(c.received('session.sendMessages')).toHaveLength(1);
  });

  it.each([0, -600_000])('is left alone if that was long ago, and the clock is %i ms ahead', async (aheadMs) => {
    const { client, c } = await comes(600_000, aheadMs);
    expect([c.received(MODE), c.received('session.sendMessages')]).toEqual([[], []]);
    expect(c.received('session.resume')[0]?.params).not.toHaveProperty('continuePendingWork');
    expect(client.events).toEqual([]);
  });
});
