import { describe, expect, it } from '@jest/globals';
import { RoutedWorld } from '../../../support/routed-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const TOOL = { tools: [{ name: 'lookup' }] };
const TOOL_CALL = 'session.tools.handlePendingToolCall';
const PERMISSION = 'session.permissions.handlePendingPermissionRequest';

/** A client at the home and one at another replica, both of one session. */
async function drained() {
  const world = new RoutedWorld();
  const own = await world.attached('b', 's', TOOL);
  const forwarded = await world.attached('a', 's', TOOL);
  const b = world.replica('b');
  const { server } = b.local;
  const drain = (withinMs = 60_000): Promise<void> => {
    world.directory.next = 'c';
    return b.relay.drain(withinMs);
  };
  return { world, own, forwarded, b, c: world.replica('c'), server, drain };
}

describe('a replica that stops', () => {
  it('gives its tenants up at rest, and their clients go on elsewhere and notice nothing', async () => {
    const { world, own, forwarded, b, c, server, drain } = await drained();
    const before = [own, forwarded].map(({ received }) => received.length);
    const stopped = drain();
    await world.settle();
    await stopped;
    expect([server.count('sessions.close'), server.isClosed, b.homes.isDraining]).toEqual([2, true, true]);
    await world.settle();
    expect(c.received('session.resume')).toHaveLength(2);
    expect(c.relay.sessions()).toMatchObject([{ id: 's', state: 'Idle' }]);
    const clients = c.relay.sessions()[0]?.clients;
    expect(new Set(clients)).toEqual(new Set(['a/1', 'b/1']));
    expect([own, forwarded].map(({ received }, index) => received.slice(before[index]))).toEqual([[], []]);
    expect([b.homes.releases, b.observed]).toEqual([
      [TENANT.name],
      ['client Drained', 'home Drained', 'session Restored'],
    ]);
    expect(world.replica('a').observed).toEqual(['client PeerMoved', 'session Restored']);
  });

  it('lets a turn end, with what it waits for, while prompts and new sessions wait', async () => {
    const { world, own, forwarded, c, server, drain } = await drained();
    own.call('session.send', { sessionId: 's', prompt: 'first' });
    await world.settle();
    server.answer(server.last('session.send').id, { messageId: 'm' });
    server.event('s', 'user.message');
    server.event('s', 'external_tool.requested', { requestId: 'r', toolName: 'lookup' });
    const stopped = drain();
    await world.settle();
    const prompts = [own, forwarded].map((client) => client.call('session.send', { sessionId: 's', prompt: 'held' }));
    const made = forwarded.call('session.create', { sessionId: 'new' });
    // About a session of which a prompt waits: it must not overtake that.
    forwarded.call('session.mode.set', { sessionId: 's', mode: 'plan' });
    forwarded.call('status.get');
    forwarded.call(TOOL_CALL, { sessionId: 's', requestId: 'r' });
    await world.settle();
    expect([server.count('session.send'), server.count('session.create'), server.count('session.mode.set')]).toEqual([
      1, 0, 0,
    ]);
    expect([server.count('status.get'), server.count(TOOL_CALL)]).toEqual([1, 1]);
    for (const method of ['status.get', TOOL_CALL]) server.answer(server.last(method).id, {});
    server.event('s', 'external_tool.completed', { requestId: 'r' });
    await world.clock.advance(1000);
    expect(server.isClosed).toBe(false);
    server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await stopped;
    await world.settle();
    expect(server.isClosed).toBe(true);
    expect(c.received('session.create')).toMatchObject([{ params: { sessionId: 'new' } }]);
    expect(forwarded.answer(made)?.result).toBeDefined();
    expect(c.received('session.mode.set')).toHaveLength(1);
    // One of them has its turn, and the other one waits for it.
    expect(c.received('session.send')).toHaveLength(1);
    c.local.server.answer(c.received('session.send')[0]?.id, { messageId: 'n' });
    for (const type of ['user.message', 'session.idle']) c.local.server.event('s', type);
    await world.settle();
    c.local.server.answer(c.received('session.send')[1]?.id, { messageId: 'o' });
    await world.settle();
    expect(c.received('session.send')).toHaveLength(2);
    expect([own.answer(prompts[0] ?? 0), forwarded.answer(prompts[1] ?? 0)]).toMatchObject([
      { result: {} },
      { result: {} },
    ]);
  });

  it('does not wait for a permission, which is answered at the next home, nor for prompts behind its turn', async () => {
    const { world, own, forwarded, b, c, server, drain } = await drained();
    const send = own.call('session.send', { sessionId: 's', prompt: 'first' });
    await world.settle();
    server.answer(server.last('session.send').id, { messageId: 'm' });
    const journal = [
      server.event('s', 'user.message', { messageId: 'm', content: 'first' }),
      server.event('s', 'permission.requested', { requestId: 'r' }),
    ];
    await world.settle();
    const behind = forwarded.call('session.send', { sessionId: 's', prompt: 'second' });
    await world.settle();
    c.local.journal = journal;
    c.local.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    c.answers('session.permissions.pendingRequests', () => ({ items: [{ requestId: 'r' }] }));
    c.answers('session.tools.listPendingRequests', () => ({ items: [] }));
    c.answers(PERMISSION, () => ({}));
    const stopped = drain(600_000);
    await world.clock.advance(1000);
    await stopped;
    await world.settle();
    expect([b.homes.releases, own.answer(send)?.result, forwarded.answer(behind)]).toEqual([
      [TENANT.name],
      { messageId: 'm' },
      undefined,
    ]);
    const answered = own.call(PERMISSION, { sessionId: 's', requestId: 'r' });
    await world.settle();
    expect([own.answer(answered)?.result, c.received(PERMISSION)]).toMatchObject([
      {},
      [{ params: { requestId: 'r' } }],
    ]);
    for (const [type, data] of [
      ['permission.completed', { requestId: 'r' }],
      ['assistant.message', {}],
      ['session.idle', {}],
    ] as const)
      c.local.server.event('s', type, data);
    await world.settle();
    const turn = ['user.message', 'permission.requested', 'permission.completed', 'assistant.message'];
    // The one whose prompt waits is not told the end of the turn before it.
    expect([own.events, forwarded.events]).toEqual([[...turn, 'session.idle'], turn]);
    expect(c.received('session.send')).toMatchObject([{ params: { prompt: 'second' } }]);
  });

  it('lets a turn go on whose permission is answered while everything is about to wait', async () => {
    const { world, own, forwarded, b, server, drain } = await drained();
    server.event('s', 'user.message');
    server.event('s', 'permission.requested', { requestId: 'r' });
    const stuck = forwarded.call('session.getMessages', { sessionId: 's' });
    await world.settle();
    const stopped = drain();
    await world.clock.advance(1000);
    // It waits for the answer to the call, and meanwhile the server is told by another way.
    server.event('s', 'permission.completed', { requestId: 'r' });
    server.event('s', 'external_tool.requested', { requestId: 't', toolName: 'lookup' });
    const answer = { sessionId: 's', requestId: 't' };
    const [first, second] = [own.call(TOOL_CALL, answer), forwarded.call(TOOL_CALL, answer)];
    await world.settle();
    expect(server.count(TOOL_CALL)).toBe(0);
    server.answer(server.last('session.getMessages').id, { events: [] });
    await world.clock.advance(1000);
    await world.settle();
    expect([forwarded.answer(stuck)?.result, server.count(TOOL_CALL), b.homes.releases]).toEqual([
      { events: [] },
      1,
      [],
    ]);
    server.answer(server.last(TOOL_CALL).id, { success: true });
    await world.settle();
    // Of two answers one counts.
    const told = [own.answer(first)?.result, forwarded.answer(second)?.result];
    expect(new Set(told.map((result) => result?.['success']))).toEqual(new Set([false, true]));
    expect(server.count(TOOL_CALL)).toBe(1);
    server.event('s', 'external_tool.completed', { requestId: 't' });
    server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await stopped;
    expect(b.homes.releases).toEqual([TENANT.name]);
  });

  it('does not show a client whose prompt waits the end of a turn, which it would take for its own', async () => {
    const { world, own, forwarded, server, drain } = await drained();
    server.event('s', 'user.message');
    const stopped = drain();
    await world.settle();
    forwarded.call('session.send', { sessionId: 's', prompt: 'held' });
    await world.settle();
    server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await stopped;
    expect([own.events, forwarded.events]).toEqual([['user.message', 'session.idle'], ['user.message']]);
  });

  it('waits for answers to other calls', async () => {
    const { world, forwarded, server, drain } = await drained();
    const call = forwarded.call('session.getMessages', { sessionId: 's' });
    await world.settle();
    const stopped = drain();
    await world.clock.advance(1000);
    expect(server.count('sessions.close')).toBe(1);
    server.answer(server.last('session.getMessages').id, { events: [] });
    await world.clock.advance(1000);
    await stopped;
    expect(forwarded.answer(call)?.result).toEqual({ events: [] });
  });

  it('hears what its clients answer to the end', async () => {
    const { world, own, b, server, drain } = await drained();
    own.call('session.getMessages', { sessionId: 's' });
    const hooked = await world.attached('b', 'hooked', { hooks: true });
    const stopped = drain(10_000);
    await world.clock.advance(1000);
    server.request(1, 'hooks.invoke', { sessionId: 'hooked', hookType: 'sessionEnd' });
    await world.settle();
    hooked.send(JSON.stringify({ jsonrpc: '2.0', id: hooked.asked('hooks.invoke')?.id, result: {} }));
    await world.settle();
    expect([server.answered(1)?.result, b.homes.releases]).toEqual([{}, []]);
    await world.clock.advance(10_000);
    await stopped;
  });

  it('has prompts that waited long for the end of a turn wait for the next home, too', async () => {
    const { world, forwarded, c, server, drain } = await drained();
    server.event('s', 'user.message');
    const stopped = drain(600_000);
    await world.settle();
    const prompt = forwarded.call('session.send', { sessionId: 's', prompt: 'held' });
    await world.clock.advance(60_000);
    const { homes } = world.replica('a');
    homes.isUnavailable = true;
    server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await stopped;
    await world.clock.advance(1000);
    homes.isUnavailable = false;
    await world.clock.advance(3000);
    await world.settle();
    expect(forwarded.answer(prompt)).toBeUndefined();
    expect(c.received('session.send')).toMatchObject([{ params: { prompt: 'held' } }]);
  });

  it('waits no longer than it may: what is cut goes on at the next home', async () => {
    const { world, own, forwarded, c, server, drain } = await drained();
    const send = own.call('session.send', { sessionId: 's', prompt: 'first' });
    await world.settle();
    const prompt = server.event('s', 'user.message', { messageId: 'm', content: 'first' });
    c.local.journal = [prompt];
    const stopped = drain(1000);
    await world.clock.advance(2000);
    await stopped;
    await world.clock.advance(1000);
    await world.settle();
    expect(own.answer(send)?.result).toEqual({ messageId: 'm' });
    expect([own.events, forwarded.events]).toEqual([['user.message'], ['user.message']]);
    expect(c.received('session.resume')).toHaveLength(2);
    expect(c.received('session.sendMessages')).toMatchObject([{ params: { messages: [] } }]);
    for (const type of ['assistant.message', 'session.idle']) c.local.server.event('s', type);
    await world.settle();
    const whole = ['user.message', 'assistant.message', 'session.idle'];
    expect([own.events, forwarded.events]).toEqual([whole, whole]);
  });

  it('takes no client in the middle of it, and a client of its own waits', async () => {
    const { world, own, b, c, drain } = await drained();
    own.call('session.getMessages', { sessionId: 's' });
    await world.settle();
    const stopped = drain(1000);
    await world.settle();
    const [late, far] = [b.client(), world.replica('a').client()];
    for (const client of [late, far]) client.call('session.resume', { sessionId: 'late' });
    await world.settle();
    expect(b.received('session.resume').filter(({ params }) => params?.['sessionId'] === 'late')).toEqual([]);
    await world.clock.advance(5000);
    await stopped;
    await world.settle();
    expect(c.received('session.resume').filter(({ params }) => params?.['sessionId'] === 'late')).toHaveLength(2);
  });

  it.each(['a', 'b'])('does not keep a tenant whose home it becomes meanwhile, for a client at %s', async (at) => {
    const world = new RoutedWorld();
    const b = world.replica('b');
    const decided = Promise.withResolvers<void>();
    const route = b.homes.route.bind(b.homes);
    b.homes.route = async (...asked) => {
      await decided.promise;
      return route(...asked);
    };
    const client = world.replica(at).client();
    const call = client.call('session.resume', { sessionId: 's' });
    await world.settle();
    const stopped = b.relay.drain(60_000);
    world.directory.next = 'c';
    world.directory.home = 'b';
    decided.resolve();
    await world.clock.advance(1000);
    await stopped;
    await world.clock.advance(3000);
    expect([b.homes.releases, b.relay.counts.fromPeers]).toEqual([[TENANT.name], 0]);
    expect(client.answer(call)?.result).toBeDefined();
    expect(world.replica('c').received('session.resume')).toHaveLength(1);
  });

  it('reads on a client whose prompt waits: the turn may wait for it', async () => {
    const { world, own, c, server, drain } = await drained();
    server.event('s', 'user.message');
    const stopped = drain(600_000);
    await world.settle();
    own.call('session.send', { sessionId: 's', prompt: 'x'.repeat(300 * 1024) });
    expect(own.isPaused).toBe(false);
    server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await stopped;
    await world.settle();
    expect(c.received('session.send')).toHaveLength(1);
  });

  it('shows the end of a turn after all if the prompt that waits is refused', async () => {
    const { world, own, server, drain } = await drained();
    server.event('s', 'user.message');
    const stopped = drain();
    await world.settle();
    const prompt = own.call('session.send', { sessionId: 's', prompt: 'held' });
    world.replica('b').homes.isUnavailable = true;
    server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await stopped;
    expect(own.events).toEqual(['user.message']);
    await world.clock.advance(40_000);
    expect(own.answer(prompt)?.error).toMatchObject({ code: -32050 });
    expect(own.events).toEqual(['user.message', 'session.idle']);
  });

  it('does not wait for the holder of a client that is gone', async () => {
    const { world, server, drain } = await drained();
    world.kill('a', 'c');
    const stopped = drain();
    await world.settle();
    await stopped;
    expect(server.isClosed).toBe(true);
  });
});

describe('a replica that may be taken for dead', () => {
  it('closes its connections at once, and its clients go on elsewhere', async () => {
    const { world, own, forwarded, b, c, server } = await drained();
    const open = own.call('session.shell.exec', { sessionId: 's' });
    await world.settle();
    world.directory.next = 'c';
    b.homes.fence();
    expect(server.isClosed).toBe(true);
    await world.settle();
    expect(own.answer(open)?.error).toMatchObject({ code: -32050, data: { outcome: 'Unknown' } });
    await world.clock.advance(500);
    await world.settle();
    expect(new Set(c.relay.sessions()[0]?.clients)).toEqual(new Set(['a/1', 'b/1']));
    expect([own.cuts, forwarded.cuts, b.homes.releases]).toEqual([[], [], []]);
    expect(b.observed).toEqual(['client Fenced', 'home Fenced', 'session Restored']);
  });

  it('while it gives a tenant up does not do so afterwards, when the tenant may be of another one', async () => {
    const { world, own, b, drain } = await drained();
    own.call('session.getMessages', { sessionId: 's' });
    await world.settle();
    const stopped = drain(1000);
    await world.settle();
    b.homes.fence();
    await world.clock.advance(5000);
    await stopped;
    expect(b.homes.releases).toEqual([]);
    expect(world.replica('c').relay.sessions()).toMatchObject([{ id: 's' }]);
  });
});
