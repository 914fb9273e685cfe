import { describe, expect, it } from '@jest/globals';
import { duplexPair, type Duplex } from 'node:stream';
import { RoutedWorld } from '../../../support/routed-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const TOOL = { tools: [{ name: 'lookup' }], model: 'm' };
const RULES = 'session.permissions.modifyRules';
const UNKNOWN = { code: -32050, data: { retryable: true, outcome: 'Unknown' } };
const NOT_SENT = { code: -32050, data: { retryable: true, outcome: 'NotSent' } };

describe('a client whose home is here', () => {
  it('is served without a stream', async () => {
    const world = new RoutedWorld();
    await world.attached('b', 's');
    const { relay, streams } = world.replica('b');
    expect([relay.counts, streams]).toEqual([{ toPeers: 0, fromPeers: 0 }, []]);
    expect(relay.sessions()).toMatchObject([{ id: 's', clients: [1] }]);
  });
});

describe('a client whose home is a peer', () => {
  it('is served by it', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', TOOL);
    const [a, b] = ['a', 'b'].map((id) => world.replica(id));
    expect(a?.local.dials).toEqual([]);
    expect(b?.received('session.resume')).toMatchObject([{ params: { sessionId: 's', ...TOOL } }]);
    expect(b?.relay.sessions()).toMatchObject([{ id: 's', clients: ['a/1'] }]);
    expect([a?.relay.counts, b?.relay.counts]).toEqual([
      { toPeers: 1, fromPeers: 0 },
      { toPeers: 0, fromPeers: 1 },
    ]);
    b?.local.server.event('s', 'assistant.message', { content: 'ä' });
    await world.settle();
    expect(client.received.at(-1)?.params).toMatchObject({ event: { data: { content: 'ä' } } });
  });

  it.each([
    ['at once', false, [3]],
    ['one by one, by a holder of an earlier version', true, []],
  ])('gets the pieces of an event that came at once, in their order: %s', async (_, areHoldersEarlier, runs) => {
    const world = new RoutedWorld();
    world.areHoldersEarlier = areHoldersEarlier;
    const client = await world.attached('a', 's');
    const pieces = ['ä', 'b', 'c'].map((deltaContent) => {
      const params = { sessionId: 's', event: { type: 'assistant.message_delta', data: { deltaContent } } };
      return { jsonrpc: '2.0', method: 'session.event', params };
    });
    const { server } = world.replica('b').local;
    server.send(...pieces.map((piece) => JSON.stringify(piece)));
    server.event('s', 'session.idle');
    await world.settle();
    expect(client.received.slice(-4, -1)).toEqual(pieces);
    expect(client.events.at(-1)).toBe('session.idle');
    expect(client.runs).toEqual(runs);
  });

  it('shares a tool with one of another replica, and one of them is asked', async () => {
    const world = new RoutedWorld();
    const [first, second] = [await world.attached('a', 's', TOOL), await world.attached('c', 's', TOOL)];
    world.replica('b').local.server.event('s', 'external_tool.requested', { requestId: 'r', toolName: 'lookup' });
    await world.settle();
    expect([first.events, second.events]).toEqual([[], ['external_tool.requested']]);
  });

  it('answers what its server asks', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', { requestUserInput: true });
    const { server } = world.replica('b').local;
    server.request('q', 'userInput.request', { sessionId: 's' });
    await world.settle();
    client.send(JSON.stringify({ jsonrpc: '2.0', id: client.asked('userInput.request')?.id, result: { answer: 'x' } }));
    await world.settle();
    expect(server.answered('q')?.result).toEqual({ answer: 'x' });
  });

  it('leaves the home when its connection ends', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    client.leave();
    await world.settle();
    const { relay } = world.replica('b');
    expect(relay.counts.fromPeers).toBe(0);
    expect(relay.sessions()).toMatchObject([{ id: 's', clients: [] }]);
  });

  it('is busy while it waits for an answer, and while a turn runs', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { server } = world.replica('b').local;
    expect([client.handler.isBusy, client.work]).toEqual([false, { calls: 0, sessions: 1 }]);
    client.call('session.send', { sessionId: 's', prompt: 'p' });
    expect([client.handler.isBusy, client.work]).toEqual([true, { calls: 1, sessions: 1 }]);
    await world.settle();
    server.answer(server.last('session.send').id, { messageId: 'm' });
    await world.settle();
    expect([client.handler.isBusy, client.work]).toEqual([true, { calls: 0, sessions: 1 }]);
    server.event('s', 'user.message');
    await world.settle();
    expect(client.handler.isBusy).toBe(true);
    server.event('s', 'session.idle');
    await world.settle();
    expect(client.handler.isBusy).toBe(false);
  });

  it('goes on elsewhere when that is gone before it has answered, also if the last other client left meanwhile', async () => {
    const world = new RoutedWorld();
    const other = await world.attached('a', 's');
    const { promise: stream, resolve } = Promise.withResolvers<Duplex>();
    const peer = world.peer.bind(world);
    world.peer = (_, id) => ({ id, connect: () => stream });
    const client = world.replica('a').client();
    const id = client.call('session.resume', { sessionId: 't' });
    await world.settle();
    other.leave();
    await world.settle();
    // Its end does not come, as that of a pod whose network is gone with it.
    resolve(duplexPair()[0]);
    await world.settle();
    world.peer = peer;
    world.directory.home = 'c';
    world.replica('a').homes.peerGone('b');
    await world.clock.advance(1000);
    await world.settle();
    expect(client.answer(id)?.result).toBeDefined();
  });

  it.each(['a', 'b'])('is busy while its turn has no home, at replica %s', async (holder) => {
    const world = new RoutedWorld();
    const client = await world.attached(holder, 's');
    const { homes, local } = world.replica('b');
    client.call('session.send', { sessionId: 's', prompt: 'p' });
    await world.settle();
    local.server.answer(local.server.last('session.send').id, { messageId: 'm' });
    await world.settle();
    expect([client.handler.isBusy, client.work]).toEqual([true, { calls: 0, sessions: 1 }]);
    world.replica(holder).homes.isUnavailable = true;
    homes.fence();
    await world.settle();
    expect([client.handler.isBusy, client.work]).toEqual([true, { calls: 0, sessions: 1 }]);
  });

  it('is not read while its server does not read', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const { server } = world.replica('b').local;
    server.isWritable = false;
    client.call('status.get');
    await world.settle();
    expect(client.isPaused).toBe(true);
    server.isWritable = true;
    server.events.drained();
    await world.settle();
    expect(client.isPaused).toBe(false);
  });

  it('is not read while its home does not read, and what it sent arrives', async () => {
    const world = new RoutedWorld({ unreadBytes: 1024 });
    const client = await world.attached('a', 's');
    for (let n = 0; n < 10; n += 1) client.call('status.get', { text: 'x'.repeat(64 * 1024) });
    expect(client.isPaused).toBe(true);
    await world.settle();
    expect(client.isPaused).toBe(false);
    expect(world.replica('b').received('status.get')).toHaveLength(10);
  });

  it('is refused an id that is in use', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const frame = '{"jsonrpc":"2.0","id":"x","method":"status.get","params":{}}';
    client.send(frame);
    client.send(frame);
    await world.settle();
    expect(client.answer('x')?.error).toMatchObject({ code: -32600 });
    expect(world.replica('b').received('status.get')).toHaveLength(1);
  });

  it('is closed when what it sends is not the protocol', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    client.send('[]');
    expect(client.cuts).toMatchObject([{ reason: 'ProtocolError' }]);
  });
});

describe('a forwarded client that does not read', () => {
  const piece = { deltaContent: 'x'.repeat(1000) };

  it('misses pieces, and reads on', async () => {
    const world = new RoutedWorld({ readStepBytes: 1 }, { softQueueBytes: 5000 });
    const client = await world.attached('a', 's');
    const { server } = world.replica('b').local;
    client.queuedBytes = 1e6;
    for (let n = 0; n < 20; n += 1) server.event('s', 'assistant.message_delta', piece);
    server.event('s', 'assistant.message', {});
    await world.settle();
    const seen = client.events.length;
    expect(seen).toBeLessThan(10);
    expect(client.events.at(-1)).toBe('assistant.message');
    client.queuedBytes = 0;
    client.handler.drained();
    await world.settle();
    server.event('s', 'assistant.message_delta', piece);
    await world.settle();
    expect(client.events).toHaveLength(seen + 1);
  });

  it('is cut by its home, which says why', async () => {
    const world = new RoutedWorld({}, { hardQueueBytes: 5000 });
    const client = await world.attached('a', 's');
    const other = await world.attached('c', 's');
    client.queuedBytes = 1e6;
    for (let n = 0; n < 20; n += 1) {
      world.replica('b').local.server.event('s', 'assistant.message', piece);
      await world.settle();
      other.handler.drained();
      await world.settle();
    }
    expect(client.cuts).toMatchObject([{ reason: 'SlowClient' }]);
    expect([other.cuts, other.events.length]).toEqual([[], 20]);
  });
});

describe('a home that is lost', () => {
  it('is followed by another one, which is told what the client had declared', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', TOOL);
    client.call(RULES, { sessionId: 's', add: ['r'] });
    await world.settle();
    const before = client.received.length;
    world.kill('b', 'c');
    await world.settle();
    const c = world.replica('c');
    const { model: _, ...restored } = TOOL;
    expect(c.received('sessions.close')).toMatchObject([{ params: { sessionId: 's' } }]);
    expect(c.received('session.resume').map(({ params }) => params)).toEqual([
      { ...restored, sessionId: 's', disableResume: true, continuePendingWork: true },
    ]);
    expect(c.received(RULES)).toMatchObject([{ params: { add: ['r'] } }]);
    const call = client.call('session.getMessages', { sessionId: 's' });
    await world.settle();
    c.local.server.answer(c.local.server.last('session.getMessages').id, { events: [] });
    await world.settle();
    expect(client.received.slice(before)).toMatchObject([{ id: call, result: { events: [] } }]);
    expect(world.replica('a').observed).toEqual(['client PeerLost', 'session Restored']);
  });

  it('may be followed by the replica that holds the client, and that one by another', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', TOOL);
    world.kill('b', 'a');
    await world.settle();
    expect(world.replica('a').received('session.resume')).toHaveLength(1);
    world.directory.next = 'c';
    world.replica('a').homes.fence();
    await world.settle();
    const c = world.replica('c');
    expect(world.replica('a').local.server.isClosed).toBe(true);
    expect(c.received('session.resume')).toMatchObject([{ params: { tools: TOOL.tools } }]);
    expect(c.relay.sessions()).toMatchObject([{ clients: ['a/1'] }]);
    expect(client.cuts).toEqual([]);
  });

  it('leaves what was asked of it unanswered, which is said, unless the next one can be asked, and turns go on there', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const idle = client.call('session.resume', { sessionId: 'idle' });
    await world.settle();
    expect(client.answer(idle)?.result).toBeDefined();
    const { server } = world.replica('b').local;
    client.call('session.send', { sessionId: 's', prompt: 'p' });
    await world.settle();
    server.answer(server.last('session.send').id, { messageId: 'm' });
    const { local } = world.replica('c');
    local.journal = [server.event('s', 'user.message', { messageId: 'm', content: 'p' })];
    const [read, run] = [client.call('status.get'), client.call('session.shell.exec', { sessionId: 's' })];
    await world.settle();
    world.kill('b', 'c');
    await world.settle();
    expect(client.answer(run)?.error).toMatchObject(UNKNOWN);
    expect(local.server.count('status.get')).toBe(1);
    local.server.answer(local.server.last('status.get').id, { ok: true });
    expect(local.server.all('session.sendMessages')).toMatchObject([{ params: { sessionId: 's', messages: [] } }]);
    local.server.event('s', 'session.idle');
    await world.settle();
    expect(client.answer(read)?.result).toEqual({ ok: true });
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  it('has a session made again that has had no turn, unless somebody has deleted it', async () => {
    const world = new RoutedWorld();
    const client = world.replica('a').client();
    for (const sessionId of ['new', 'deleted']) client.call('session.create', { ...TOOL, sessionId });
    await world.settle();
    const deletion = { type: 'session.deleted', sessionId: 'deleted' };
    world
      .replica('b')
      .local.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.lifecycle', params: deletion }));
    await world.settle();
    world.kill('b', 'c');
    await world.settle();
    const made = world.replica('c').received('session.create');
    expect(made.map(({ params }) => params)).toMatchObject([{ ...TOOL, sessionId: 'new' }]);
  });

  it('does not take answers to what the one before has asked', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', { hooks: true });
    world.replica('b').local.server.request(1, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    await world.settle();
    const late = client.asked('hooks.invoke')?.id;
    world.kill('b', 'c');
    await world.settle();
    const { server } = world.replica('c').local;
    server.request(1, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    await world.settle();
    client.send(JSON.stringify({ jsonrpc: '2.0', id: late, result: {} }));
    await world.settle();
    expect(server.answered(1)).toBeUndefined();
    client.send(JSON.stringify({ jsonrpc: '2.0', id: client.asked('hooks.invoke')?.id, result: {} }));
    await world.settle();
    expect(server.answered(1)?.result).toEqual({});
  });

  it('tells a client whose rules the next one does not take, of that session alone', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    client.call(RULES, { sessionId: 's', add: ['r'] });
    await world.settle();
    const { local } = world.replica('c');
    local.answers.delete(RULES);
    world.kill('b', 'c');
    await world.settle();
    local.server.refuse(local.server.last(RULES).id, 'no');
    await world.settle();
    expect([client.cuts, client.events]).toEqual([[], ['session.error', 'session.idle']]);
    expect(world.replica('a').observed).toEqual(['client PeerLost', 'session Lost']);
  });
});

/** One more than is kept of a session. */
const TOO_MANY_RULES = 1025;

describe.each(['a', 'b'])('a client at %s that has changed more rules than are kept', (at) => {
  it('is told so when its home is lost: the session might allow more', async () => {
    const world = new RoutedWorld();
    const client = await world.attached(at, 's');
    for (let n = 0; n < TOO_MANY_RULES; n += 1) {
      client.call(RULES, { sessionId: 's', add: [`r${n}`] });
      // No client may have very many calls open.
      if (n % 100 === 0) await world.settle();
    }
    await world.settle();
    world.directory.home = 'c';
    if (at === 'b') world.replica('b').homes.fence();
    else world.replica('a').homes.peerGone('b');
    await world.settle();
    expect([client.cuts, client.events]).toEqual([[], ['session.error', 'session.idle']]);
    expect(world.replica('c').received('session.resume')).toEqual([]);
  });
});

describe('while there is no home', () => {
  it('frames wait, pings are answered, and what waits too long is answered that it was not sent', async () => {
    const world = new RoutedWorld({ heldMs: 1000, heldBytes: 100 });
    const { homes } = world.replica('a');
    homes.isUnavailable = true;
    const client = world.replica('a').client();
    const [waiting, ping] = [client.call('status.get', { text: 'x'.repeat(200) }), client.call('ping')];
    await world.settle();
    expect([client.isPaused, client.handler.isBusy, client.work]).toEqual([true, true, { calls: 1, sessions: 0 }]);
    expect(client.answer(ping)?.result).toBeDefined();
    await world.clock.advance(1000);
    expect(client.answer(waiting)?.error).toMatchObject(NOT_SENT);
    expect(client.isPaused).toBe(false);
    const later = client.call('status.get');
    homes.isUnavailable = false;
    await world.clock.advance(2000);
    await world.settle();
    expect(world.replica('b').received('status.get')).toHaveLength(1);
    expect(client.answer(later)).toBeUndefined();
  });

  it('all that waits is answered when the tenant is gone', async () => {
    const world = new RoutedWorld();
    const { homes } = world.replica('a');
    const client = await world.attached('a', 's');
    const { server } = world.replica('b').local;
    const sent = client.call('session.send', { sessionId: 's', prompt: 'p' });
    await world.settle();
    server.event('s', 'user.message', { messageId: 'm', content: 'p' });
    await world.settle();
    homes.isUnavailable = true;
    homes.peerGone('b');
    await world.settle();
    const waiting = [client.call('status.get'), client.call('session.send', { sessionId: 's', prompt: 'q' })];
    expect([sent, ...waiting].map((id) => client.answer(id))).toEqual([undefined, undefined, undefined]);
    client.handler.dismissed?.();
    expect([sent, ...waiting].map((id) => client.answer(id)?.error)).toMatchObject([UNKNOWN, NOT_SENT, NOT_SENT]);
    expect(client.events.slice(-2)).toEqual(['session.error', 'session.idle']);
    const late = client.call('status.get');
    expect([client.answer(late)?.error, client.handler.isBusy]).toMatchObject([NOT_SENT, false]);
  });

  it('no more waits of all clients than there is memory for', async () => {
    const world = new RoutedWorld({ heldTotalBytes: 1000 });
    const a = world.replica('a');
    a.homes.isUnavailable = true;
    const [first, second] = [a.client(), a.client()];
    // One may be as large as any frame.
    const text = 'x'.repeat(2000);
    const large = first.call('status.get', { text });
    const refused = second.call('status.get', { text });
    await world.settle();
    expect(second.answer(refused)?.error).toMatchObject(NOT_SENT);
    first.leave();
    await world.settle();
    const later = second.call('status.get', { text });
    a.homes.isUnavailable = false;
    await world.clock.advance(3000);
    expect([first.answer(large), second.answer(later)]).toEqual([undefined, undefined]);
    expect(world.replica('b').received('status.get')).toHaveLength(1);
  });

  it('a peer that is not the home is not asked again', async () => {
    const world = new RoutedWorld();
    world.directory.home = 'c';
    const a = world.replica('a');
    const wrong = world.peer('a', 'b');
    const route = a.homes.route.bind(a.homes);
    a.homes.route = async (tenant, options) => (a.homes.misroutes.length === 0 ? wrong : route(tenant, options));
    const client = a.client();
    client.call('status.get');
    await world.settle();
    expect(a.homes.misroutes).toEqual(['b']);
    await world.clock.advance(500);
    await world.settle();
    expect(world.replica('c').received('status.get')).toHaveLength(1);
    expect(world.replica('b').received('status.get')).toEqual([]);
  });

  it('a peer that sees another tenant does not take the client', async () => {
    const world = new RoutedWorld();
    world.replica('b').local.fleet.change({ uid: 'of another one' });
    const client = world.replica('a').client();
    client.call('status.get');
    await world.settle();
    expect(world.replica('b').local.dials).toEqual([]);
    world.replica('b').local.fleet.change({ uid: 'uid-of-acme' });
    await world.clock.advance(500);
    await world.settle();
    expect(world.replica('b').received('status.get')).toHaveLength(1);
  });

  it('a peer that is found to be gone is left at once', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    world.directory.home = 'c';
    world.replica('a').homes.peerGone('b');
    await world.settle();
    expect(world.replica('c').received('session.resume')).toHaveLength(1);
    expect(client.cuts).toEqual([]);
  });
});

describe('the holder of a client', () => {
  it('that is found to be gone takes its clients with it, although no end of their streams was seen', async () => {
    const world = new RoutedWorld();
    await world.attached('a', 's');
    await world.attached('c', 's');
    const { relay, homes } = world.replica('b');
    expect(relay.counts.fromPeers).toBe(2);
    // It does not come back.
    world.replica('a').homes.isUnavailable = true;
    homes.peerGone('a');
    await world.settle();
    expect(relay.counts.fromPeers).toBe(1);
    expect(relay.sessions()).toMatchObject([{ clients: ['c/1'] }]);
  });
});

describe('a home that nobody uses', () => {
  it('is given up when its last session is unloaded', async () => {
    const world = new RoutedWorld({ unusedMs: 1000 }, { detachAfterMs: 1500 });
    const b = world.replica('b');
    b.answers('session.detach', () => ({}));
    const client = await world.attached('a', 's');
    await world.clock.advance(5000);
    expect(b.homes.releases).toEqual([]);
    client.leave();
    await world.settle();
    await world.clock.advance(1000);
    expect(b.homes.releases).toEqual([]);
    await world.clock.advance(2500);
    expect([b.homes.releases, b.local.server.isClosed, b.observed]).toEqual([[TENANT.name], true, ['home Unused']]);
    expect(world.replica('a').homes.releases).toEqual([]);
  });
});
