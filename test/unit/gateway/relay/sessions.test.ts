import { describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { CONNECTION_TIMERS, RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';

const RULES = 'session.permissions.modifyRules';
const TOOL = { tools: [{ name: 'lookup' }] };

function answer(client: ClientEnd, method: string, result: object): void {
  client.send(JSON.stringify({ jsonrpc: '2.0', id: client.asked(method)?.id, result }));
}

describe('a request of the server', () => {
  it('goes to whom declared it, and the first good answer is the only one', async () => {
    const world = new RelayWorld();
    const a = await world.attached('s', { requestUserInput: true });
    const b = await world.attached('s', { requestUserInput: true });
    const c = await world.attached('s');
    world.server.request('q', 'userInput.request', { sessionId: 's', question: '?' });
    expect([a, b, c].map((client) => client.asked('userInput.request')?.params?.['question'])).toEqual([
      '?',
      '?',
      undefined,
    ]);
    answer(b, 'userInput.request', { answer: 'b' });
    answer(a, 'userInput.request', { answer: 'a' });
    expect(world.server.received.filter(({ id }) => id === 'q')).toEqual([
      expect.objectContaining({ result: { answer: 'b' } }),
    ]);
  });

  it('is not answered by who was not asked, nor twice', async () => {
    const world = new RelayWorld();
    const a = await world.attached('s', { hooks: true });
    const b = await world.attached('s');
    world.server.request(5, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    const id = a.asked('hooks.invoke')?.id;
    for (const frame of [{ id }, { id: 5 }, { id: 77 }])
      b.send(JSON.stringify({ jsonrpc: '2.0', ...frame, result: {} }));
    expect(world.server.answered(5)).toBeUndefined();
    answer(a, 'hooks.invoke', { output: { permissionDecision: 'deny' } });
    answer(a, 'hooks.invoke', {});
    expect(world.server.received.filter((frame) => frame.id === 5 && frame.method === undefined)).toHaveLength(1);
  });

  it('falls back from the last that declared it to the one before', async () => {
    const world = new RelayWorld();
    const provider = { provider: { hasBearerTokenProvider: true } };
    const a = await world.attached('s', provider);
    const b = await world.attached('s', provider);
    world.server.request(5, 'providerToken.getToken', { sessionId: 's' });
    expect([a, b].map((client) => client.asked('providerToken.getToken') !== undefined)).toEqual([false, true]);
    b.leave();
    answer(a, 'providerToken.getToken', { token: 't' });
    expect(world.server.answered(5)?.result).toEqual({ token: 't' });
  });

  it('is held while nobody can answer, asked of who comes, and answered by the gateway when nobody does', async () => {
    const world = new RelayWorld({ permissionTimeoutMs: 1000, detachAfterMs: 1e9 });
    const a = await world.attached('s', { hooks: true });
    for (const id of [5, 6]) world.server.request(id, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    a.leave();
    await world.clock.advance(999);
    expect(world.server.answered(5)).toBeUndefined();
    const b = await world.attached('s', { hooks: true });
    await world.clock.advance(5000);
    expect(b.received.filter(({ method }) => method === 'hooks.invoke')).toHaveLength(2);
    b.leave();
    await world.clock.advance(1000);
    for (const id of [5, 6])
      expect(world.server.answered(id)?.result).toMatchObject({ output: { permissionDecision: 'deny' } });
  });

  it('is held as long as the tenant says, and a changed time applies to what is held from then on', async () => {
    const world = new RelayWorld({ detachAfterMs: 1e9 });
    world.fleet.change({ limits: { permissionTimeoutMs: 5000 } });
    const a = await world.attached('s', { hooks: true });
    a.leave();
    const ask = (id: number) => world.server.request(id, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    ask(5);
    world.fleet.change({ limits: { permissionTimeoutMs: 1000 } });
    ask(6);
    await world.clock.advance(1000);
    expect([5, 6].map((id) => world.server.answered(id) !== undefined)).toEqual([false, true]);
    await world.clock.advance(4000);
    expect(world.server.answered(5)?.result).toMatchObject({ output: { permissionDecision: 'deny' } });
  });

  it('that a hook should decide on is denied at once when those who are there have none', async () => {
    const world = new RelayWorld();
    const a = await world.attached('s', { hooks: true });
    await world.attached('s');
    for (const [id, hookType] of [
      [5, 'preToolUse'],
      [6, 'sessionStart'],
    ] as const) {
      world.server.request(id, 'hooks.invoke', { sessionId: 's', hookType });
    }
    a.leave();
    await settle();
    expect(world.server.answered(5)?.result).toMatchObject({ output: { permissionDecision: 'deny' } });
    expect(world.server.answered(6)?.result).toEqual({});
    expect(world.server.last('session.resume').params).toMatchObject({ hooks: false });
  });
});

describe('a tenant that is paused', () => {
  it('takes no new prompt and says when to try again; what runs and what else is called goes on', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const running = client.call('session.send', { sessionId: 's', prompt: 'a' });
    await settle();
    world.fleet.change({ isPaused: true });
    const refused = client.call('session.send', { sessionId: 's', prompt: 'b' });
    client.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(client.answer(refused)?.error).toEqual({
      code: -32050,
      message: expect.stringContaining('tenant team/acme is paused'),
      data: { retryable: true, retryAfterMs: 5000, outcome: 'NotSent' },
    });
    expect([world.server.count('session.send'), world.server.count('session.mode.get')]).toEqual([1, 1]);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    await settle();
    expect(client.answer(running)?.result).toEqual({ messageId: 'm' });
    world.fleet.change({ isPaused: undefined });
    client.call('session.send', { sessionId: 's', prompt: 'b' });
    await settle();
    expect(world.server.count('session.send')).toBe(2);
    expect(await world.counted('refused_calls_total')).toEqual({ TenantPaused: 1 });
  });
});

describe('what a session waits for', () => {
  const asked = { requestId: 'r', toolName: 'lookup' };

  it('a tool goes to one that declared it, then to the next', async () => {
    const world = new RelayWorld();
    const a = await world.attached('s', TOOL);
    const b = await world.attached('s', TOOL);
    const c = await world.attached('s');
    world.server.event('s', 'external_tool.requested', asked);
    expect([a, b, c].map(({ events }) => events.length)).toEqual([0, 1, 0]);
    b.leave();
    expect([a, c].map(({ events }) => events)).toEqual([['external_tool.requested'], []]);
    world.server.event('s', 'external_tool.completed', { requestId: 'r' });
    a.leave();
    expect(c.events).toEqual(['external_tool.completed']);
  });

  it('is answered by the gateway when nobody comes', async () => {
    const world = new RelayWorld({ permissionTimeoutMs: 1000, detachAfterMs: 1e9 });
    const a = await world.attached('s', TOOL);
    world.server.event('s', 'external_tool.requested', asked);
    world.server.event('s', 'permission.requested', { requestId: 'p' });
    world.server.event('s', 'permission.requested', { requestId: 'h', resolvedByHook: true });
    a.leave();
    await world.clock.advance(1000);
    expect(world.server.last('session.tools.handlePendingToolCall').params).toMatchObject({
      sessionId: 's',
      requestId: 'r',
    });
    const denied = world.server.received.filter(
      ({ method }) => method === 'session.permissions.handlePendingPermissionRequest',
    );
    expect(denied.map(({ params }) => params)).toEqual([
      { sessionId: 's', requestId: 'p', result: { kind: 'reject', feedback: expect.any(String) } },
    ]);
  });

  it('is offered once to who attaches, and not again when it attaches again', async () => {
    const world = new RelayWorld();
    await world.attached('s', TOOL);
    world.server.event('s', 'permission.requested', { requestId: 'p' });
    const b = await world.attached('s', TOOL);
    await world.attach(b, 's', TOOL);
    expect(b.events).toEqual(['permission.requested']);
  });

  it('is denied once nobody has answered the last question of an id', async () => {
    const world = new RelayWorld({ permissionTimeoutMs: 1000, detachAfterMs: 1e9 });
    const client = await world.attached('s');
    client.leave();
    world.server.event('s', 'permission.requested', { requestId: 'p', n: 1 });
    await world.clock.advance(900);
    world.server.event('s', 'permission.requested', { requestId: 'p', n: 2 });
    await world.clock.advance(200);
    const method = 'session.permissions.handlePendingPermissionRequest';
    expect(world.server.count(method)).toBe(0);
    await world.clock.advance(900);
    expect(world.server.count(method)).toBe(1);
  });

  describe('and is answered by several at the same time', () => {
    const method = 'session.permissions.handlePendingPermissionRequest';
    const answer = (client: ClientEnd, kind: string, requestId = 'p') =>
      client.call(method, { sessionId: 's', requestId, result: { kind } });
    const given = (world: RelayWorld) => world.server.all(method).map(({ params }) => params?.['result']);
    const told = (client: ClientEnd, ...ids: number[]) => ids.map((id) => client.answer(id)?.result);

    it('takes the first answer that comes, and the server gets no other', async () => {
      const world = new RelayWorld();
      const [a, b] = [await world.attached('s'), await world.attached('s')];
      world.server.event('s', 'permission.requested', { requestId: 'p' });
      const [first, second, other] = [answer(a, 'yes'), answer(b, 'no'), answer(b, 'other', 'q')];
      expect(given(world)).toEqual([{ kind: 'yes' }, { kind: 'other' }]);
      world.server.answer(world.server.all(method)[0]?.id, { success: true });
      expect([told(a, first), told(b, second, other)]).toEqual([[{ success: true }], [{ success: false }, undefined]]);
      expect(given(world)).toHaveLength(2);
      // What comes after that the server answers.
      answer(a, 'late');
      expect(given(world)).toHaveLength(3);
    });

    it('takes the next one if the server does not take the first', async () => {
      const world = new RelayWorld();
      const [a, b] = [await world.attached('s'), await world.attached('s')];
      const [first, second] = [answer(a, 'bad'), answer(b, 'yes')];
      world.server.refuse(world.server.last(method).id, 'Invalid params');
      expect(given(world)).toEqual([{ kind: 'bad' }, { kind: 'yes' }]);
      world.server.answer(world.server.last(method).id, { success: true });
      expect([a.answer(first)?.error?.code, told(b, second)]).toEqual([-32603, [{ success: true }]]);
    });

    it('takes the first one at the next server, too, and forgets those of clients that have left', async () => {
      const world = new RelayWorld();
      const [a, b, c] = [await world.attached('s'), await world.attached('s'), await world.attached('s')];
      const [first] = [answer(a, 'yes'), answer(b, 'gone')];
      const last = answer(c, 'no');
      b.leave();
      world.server.events.closed(undefined);
      await settle();
      world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
      await settle();
      expect(given(world)).toEqual([{ kind: 'yes' }]);
      world.server.answer(world.server.last(method).id, { success: true });
      expect([told(a, first), told(c, last), b.work?.calls]).toEqual([[{ success: true }], [{ success: false }], 0]);
    });
  });

  it('is bounded by its size', async () => {
    const world = new RelayWorld({ waitBytes: 1000 });
    await world.attached('s');
    const ask = (n: number) =>
      world.server.event('s', 'permission.requested', { requestId: `${n}`, text: 'x'.repeat(300) });
    for (let n = 0; n < 10; n += 1) ask(n);
    expect((await world.attached('s')).events).toHaveLength(2);
    world.server.event('s', 'permission.completed', { requestId: '0' });
    ask(11);
    expect((await world.attached('s')).events).toHaveLength(2);
  });

  it('is bounded', async () => {
    const world = new RelayWorld({ waits: 3 });
    await world.attached('s');
    for (let n = 0; n < 10; n += 1) world.server.event('s', 'permission.requested', { requestId: `${n}` });
    expect((await world.attached('s')).events).toHaveLength(3);
  });
});

describe('attaching', () => {
  it('declares the union, and takes it back when one leaves', async () => {
    const world = new RelayWorld();
    await world.attached('s', { tools: [{ name: 'of_a' }], hooks: true });
    const b = await world.attached('s', { tools: [{ name: 'of_b' }], hooks: false });
    const attach = world.server.last('session.resume').params;
    expect(attach).toMatchObject({ tools: [{ name: 'of_a' }, { name: 'of_b' }], hooks: true, disableResume: true });
    b.call('session.detach', { sessionId: 's' });
    await settle();
    expect(world.server.last('session.resume').params).toMatchObject({ tools: [{ name: 'of_a' }], hooks: true });
    expect(world.server.count('session.detach')).toBe(0);
  });

  it('creates an id that does not exist, resumes one that does, and creates one that is only listed', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('session.create', { sessionId: 'new' });
    await settle();
    world.server.answer(world.server.last('sessions.getMetadata').id, {});
    await settle();
    expect(world.server.last('session.create').params).toMatchObject({ sessionId: 'new', tools: [] });
    client.call('session.create', { sessionId: 'old' });
    await settle();
    world.server.answer(world.server.last('sessions.getMetadata').id, { session: { sessionId: 'old' } });
    await settle();
    const { id, params } = world.server.last('session.resume');
    expect(params).toMatchObject({ sessionId: 'old' });
    world.server.refuse(id, 'Request session.resume failed with message: Session not found: old');
    expect(world.server.last('session.create').params).toMatchObject({ sessionId: 'old' });
  });

  it('of an id of which the server does not say whether it exists is not made: it would lose what it had', async () => {
    const world = new RelayWorld({ callTimeoutMs: 1_000 });
    const client = world.client();
    const id = client.call('session.create', { sessionId: 'old' });
    await settle();
    expect(world.server.count('sessions.getMetadata')).toBe(1);
    await world.clock.advance(1_001);
    await settle();
    expect(client.answer(id)?.error).toMatchObject({ code: -32050, data: { retryable: true, outcome: 'NotSent' } });
    expect(world.server.count('session.create')).toBe(0);
    // Nothing is left of it, so that the next attempt asks again.
    client.call('session.create', { sessionId: 'old' });
    await settle();
    world.server.answer(world.server.last('sessions.getMetadata').id, { session: { sessionId: 'old' } });
    await settle();
    expect(world.server.last('session.resume').params).toMatchObject({ sessionId: 'old' });
  });

  it('is refused when the clients of a session declare too much together', async () => {
    const world = new RelayWorld({ declarationLength: 1000 });
    const tools = [{ name: 'x'.repeat(600) }];
    const a = await world.attached('s', { tools });
    await world.attach(a, 's', { tools });
    const b = world.client();
    const id = b.call('session.resume', { sessionId: 's', tools });
    await settle();
    expect(b.answer(id)?.error?.code).toBe(-32000);
    a.leave();
    await world.attach(b, 's', { tools });
  });

  it('that is refused leaves nothing behind', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const id = client.call('session.resume', { sessionId: 's' });
    await settle();
    world.server.refuse(world.server.last('session.resume').id, 'no');
    await settle();
    expect(client.answer(id)?.error?.message).toBe('no');
    world.server.event('s', 'session.idle');
    expect(client.events).toEqual([]);
    expect(world.clock.pendingTimers).toBe(CONNECTION_TIMERS);
  });

  it('again, which is refused, leaves the client as it was', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { tools: [{ name: 'x' }] });
    client.call('session.resume', { sessionId: 's', tools: 'wrong' });
    await settle();
    world.server.refuse(world.server.last('session.resume').id, 'no');
    await settle();
    world.server.event('s', 'external_tool.requested', { requestId: 'r', toolName: 'x' });
    expect(client.events).toEqual(['external_tool.requested']);
  });

  it('again replaces what the client declared before, and leaves what it does not state', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { ...TOOL, hooks: true, requestUserInput: true });
    await world.attach(client, 's', { tools: [{ name: 'other' }], hooks: false });
    expect(world.server.last('session.resume').params).toMatchObject({ tools: [{ name: 'other' }], hooks: false });
    world.server.request('q', 'userInput.request', { sessionId: 's', question: '?' });
    expect(client.asked('userInput.request')).toBeDefined();
  });

  it('of a client that was lost meanwhile counts for nothing', async () => {
    const world = new RelayWorld({ detachAfterMs: 1000 });
    const client = world.client();
    client.call('session.resume', { sessionId: 's' });
    await settle();
    client.leave();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    await world.clock.advance(1000);
    expect(world.server.count('session.detach')).toBe(1);
  });

  it('of a client that was lost meanwhile leaves nothing that waits for its answer', async () => {
    const world = new RelayWorld({ permissionTimeoutMs: 1000 });
    const client = world.client();
    client.call('session.resume', { sessionId: 's', hooks: true });
    await settle();
    world.server.request(5, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    expect(client.asked('hooks.invoke')).toBeDefined();
    client.leave();
    await world.clock.advance(1000);
    expect(world.server.answered(5)?.result).toMatchObject({ output: { permissionDecision: 'deny' } });
  });

  it('of a client that was lost while it waited for another one does not happen', async () => {
    const world = new RelayWorld();
    const [a, b] = [world.client(), world.client()];
    for (const client of [a, b]) client.call('session.resume', { sessionId: 's', hooks: client === b });
    await settle();
    b.leave();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(world.server.count('session.resume')).toBe(1);
    world.server.event('s', 'assistant.message');
    expect(a.events).toEqual(['assistant.message']);
  });

  it('that the server does not answer fails after some time, and holds up no other', async () => {
    const world = new RelayWorld({ attachTimeoutMs: 1000 });
    const [a, b] = [world.client(), world.client()];
    const ids = [a, b].map((client) => client.call('session.resume', { sessionId: 's' }));
    await world.clock.advance(1001);
    expect(a.answer(ids[0] ?? 0)?.error).toMatchObject({ code: -32050, data: { outcome: 'Unknown' } });
    await settle();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(b.answer(ids[1] ?? 0)?.result).toEqual({ sessionId: 's' });
    world.server.event('s', 'assistant.message');
    expect([a.events, b.events]).toEqual([[], ['assistant.message']]);
  });

  it('that brings its server down is not tried for ever', async () => {
    const world = new RelayWorld();
    world.answers.set('session.resume', (end) => end.events.closed(undefined));
    const client = world.client();
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(10_000);
    expect(client.answer(id)?.error).toMatchObject({ code: -32050, data: { outcome: 'Unknown' } });
    expect(world.dials.filter((end) => end.count('session.resume') > 0)).toHaveLength(4);
    expect(world.relay.sessions()).toEqual([]);
  });

  it('to one that is deleted in the same moment has its events', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('session.delete', { sessionId: 's' });
    const id = client.call('session.create', { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last('session.delete').id, { success: true });
    for (const method of ['sessions.getMetadata', 'session.create'])
      world.answers.set(method, (end, frame) => end.answer(frame.id, {}));
    world.server.answer(world.server.last('sessions.getMetadata').id, {});
    await settle();
    expect(client.answer(id)?.result).toEqual({});
    world.server.event('s', 'assistant.message');
    expect(client.events).toEqual(['assistant.message']);
  });

  it('is bounded for each client', async () => {
    const world = new RelayWorld({ attachedSessions: 1 });
    const client = await world.attached('s');
    const id = client.call('session.resume', { sessionId: 't' });
    expect(client.answer(id)?.error?.code).toBe(-32000);
    client.call('session.delete', { sessionId: 's' });
    world.server.answer(world.server.last('session.delete').id, { success: true });
    await world.attach(client, 't');
  });
});

describe('a session without a client', () => {
  it('is unloaded some time after its turn has ended', async () => {
    const world = new RelayWorld({ detachAfterMs: 1000 });
    const client = await world.attached('s');
    world.server.event('s', 'assistant.turn_start');
    client.call('session.detach', { sessionId: 's' });
    await world.clock.advance(5000);
    world.server.event('s', 'session.idle');
    await world.clock.advance(999);
    expect(world.server.count('session.detach')).toBe(0);
    await world.clock.advance(1);
    expect(world.server.last('session.detach').params).toEqual({ sessionId: 's' });
  });

  it('is not loaded again by a request that comes while it is unloaded', async () => {
    const world = new RelayWorld({ detachAfterMs: 1000 });
    (await world.attached('s')).leave();
    await world.clock.advance(1000);
    const other = world.client();
    world.server.event('s', 'session.shutdown');
    const id = other.call('session.getMessages', { sessionId: 's' });
    world.server.answer(world.server.last('session.detach').id, { success: true });
    await settle();
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    expect(other.answer(id)?.error?.message).toBe('Session not found: s');
    expect(world.server.count('session.resume')).toBe(1);
  });

  it('is forgotten when the relay is closed, also after its server was lost', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    world.server.events.closed(undefined);
    client.leave();
    expect(world.clock.pendingTimers).toBeGreaterThan(0);
    world.relay.close();
    await settle();
    expect(world.clock.pendingTimers).toBe(0);
  });

  it('stays when a client comes back before', async () => {
    const world = new RelayWorld({ detachAfterMs: 1000 });
    (await world.attached('s')).leave();
    await world.clock.advance(999);
    await world.attached('s');
    await world.clock.advance(5000);
    expect(world.server.count('session.detach')).toBe(0);
  });

  it('is attached to after it was unloaded, when both happen at once', async () => {
    const world = new RelayWorld({ detachAfterMs: 1000 });
    (await world.attached('s')).leave();
    await world.clock.advance(1000);
    const client = world.client();
    const id = client.call('session.resume', { sessionId: 's' });
    await settle();
    expect(world.server.count('session.resume')).toBe(1);
    world.server.answer(world.server.last('session.detach').id, { success: true });
    await settle();
    expect(world.server.count('session.resume')).toBe(2);
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(client.answer(id)?.result).toEqual({ sessionId: 's' });
    world.server.event('s', 'assistant.message');
    expect(client.events).toEqual(['assistant.message']);
  });
});

describe('turns', () => {
  const prompt = { sessionId: 's', prompt: 'p' };

  it('of another client are waited for, and their end is not shown to who waits', async () => {
    const world = new RelayWorld();
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    a.call('session.send', prompt);
    const held = b.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm1' });
    world.server.event('s', 'user.message', { messageId: 'm1' });
    expect(world.server.count('session.send')).toBe(1);
    world.server.event('s', 'session.idle');
    expect([a.events, b.events]).toEqual([['user.message', 'session.idle'], ['user.message']]);
    expect(world.server.count('session.send')).toBe(2);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm2' });
    expect(b.answer(held)?.result).toEqual({ messageId: 'm2' });
    world.server.event('s', 'session.idle');
    expect(b.events).toEqual(['user.message', 'session.idle']);
  });

  it('that a prompt does not start hold others for a moment only', async () => {
    const world = new RelayWorld({ turnStartMs: 100 });
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    a.call('session.send', prompt);
    b.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm1' });
    await world.clock.advance(100);
    expect(world.server.count('session.send')).toBe(2);
  });

  it('whose server does not come back are ended for all, after some minutes', async () => {
    const world = new RelayWorld({ failoverMs: 60_000 });
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    a.call('session.send', prompt);
    const held = b.call('session.send', prompt);
    world.server.event('s', 'user.message');
    world.isUp = false;
    world.server.events.closed(undefined);
    await world.clock.advance(59_999);
    expect(a.events).toEqual(['user.message']);
    await world.clock.advance(251);
    expect(a.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(b.events).toEqual(a.events);
    expect(b.answer(held)?.error).toMatchObject({ code: -32050, data: { outcome: 'NotSent' } });
  });

  it.each(['sessions.close', 'session.shutdown'])(
    'that another client cuts by %s are ended for all',
    async (method) => {
      const world = new RelayWorld();
      const [a, b] = [await world.attached('s'), await world.attached('s')];
      a.call('session.send', prompt);
      world.server.answer(world.server.last('session.send').id, { messageId: 'm1' });
      world.server.event('s', 'user.message');
      const held = b.call('session.send', prompt);
      b.call(method, { sessionId: 's' });
      world.server.answer(world.server.last(method).id, {});
      expect(a.events).toEqual(['user.message', 'session.error', 'session.idle']);
      expect(b.answer(held)?.error).toMatchObject({ code: -32050, data: { outcome: 'NotSent' } });
      b.call('session.send', prompt);
      await settle();
      world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
      await settle();
      expect(world.server.count('session.send')).toBe(2);
    },
  );

  it('that the server cuts by unloading the session are ended for all, once', async () => {
    const world = new RelayWorld();
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    world.server.event('s', 'assistant.turn_start');
    b.call('sessions.close', { sessionId: 's' });
    world.server.event('s', 'session.shutdown');
    world.server.answer(world.server.last('sessions.close').id, {});
    expect(a.events).toEqual(['assistant.turn_start', 'session.shutdown', 'session.error', 'session.idle']);
  });

  it('whose prompt finds the session unloaded go on when it is loaded again', async () => {
    const world = new RelayWorld();
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    const id = a.call('session.send', prompt);
    b.call('session.send', { ...prompt, prompt: 'of b' });
    world.server.refuse(world.server.last('session.send').id, 'Session not found: s');
    await settle();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last('session.send').id, { messageId: 'm1' });
    expect(a.answer(id)?.result).toEqual({ messageId: 'm1' });
    expect(world.server.last('session.send').params?.['prompt']).toBe('p');
    expect(a.events).toEqual([]);
  });

  it('are not ended by the loss of a prompt of an earlier connection', async () => {
    const world = new RelayWorld();
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    world.server.events.closed(undefined);
    a.call('session.send', prompt);
    await settle();
    // While the session is loaded for the first prompt, the server is lost once more.
    world.server.events.closed(undefined);
    a.call('session.send', prompt);
    await world.clock.advance(250);
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(world.server.count('session.send')).toBeGreaterThan(0);
    b.call('session.send', { ...prompt, prompt: 'of b' });
    await settle();
    expect(world.server.all('session.send').map(({ params }) => params?.['prompt'])).not.toContain('of b');
  });
});

describe('a session that the server unloaded', () => {
  it('is loaded once for all requests that meet it, told what it forgot, and asked again', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { model: 'm', tools: [{ name: 'x' }] });
    client.call('session.options.update', { sessionId: 's', a: 1 });
    world.server.answer(world.server.last('session.options.update').id, {});
    const ids = [1, 2].map(() => client.call('session.getMessages', { sessionId: 's' }));
    for (const { id } of world.server.all('session.getMessages')) world.server.refuse(id, 'Session not found: s');
    await settle();
    expect(world.server.count('session.resume')).toBe(2);
    const { id, params } = world.server.last('session.resume');
    expect(params).toMatchObject({ tools: [{ name: 'x' }], disableResume: true, continuePendingWork: true });
    expect(params).not.toHaveProperty('model');
    world.server.answer(id, { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last('session.options.update').id, {});
    expect(world.server.last('session.options.update').params).toEqual({ sessionId: 's', a: 1 });
    await settle();
    expect(world.server.count('session.getMessages')).toBe(4);
    for (const frame of world.server.received.slice(-2)) world.server.answer(frame.id, { events: [] });
    expect(ids.map((each) => client.answer(each)?.result)).toEqual([{ events: [] }, { events: [] }]);
  });

  it('and cannot load again: the client gets the server’s own error', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const id = client.call('session.getMessages', { sessionId: 's' });
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    await settle();
    world.server.refuse(world.server.last('session.resume').id, 'damaged');
    await settle();
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    expect(client.answer(id)?.error?.message).toBe('Session not found: s');
  });

  it('and lost with its first turn: it is made again', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('session.create', { sessionId: 's', model: 'm' });
    await settle();
    world.server.answer(world.server.last('sessions.getMetadata').id, {});
    await settle();
    world.server.answer(world.server.last('session.create').id, { sessionId: 's' });
    await settle();
    world.server.event('s', 'user.message');
    client.call('session.getMessages', { sessionId: 's' });
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    await settle();
    world.server.refuse(world.server.last('session.resume').id, 'Session not found: s');
    await settle();
    expect(world.server.last('session.create').params).toMatchObject({ sessionId: 's', model: 'm' });
  });

  it('and that was deleted meanwhile does not come back empty', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { model: 'm' });
    const id = client.call('session.getMessages', { sessionId: 's' });
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    await settle();
    world.server.refuse(world.server.last('session.resume').id, 'Session not found: s');
    await settle();
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    expect(client.answer(id)?.error?.message).toBe('Session not found: s');
    expect(world.server.count('session.create')).toBe(0);
  });

  it.each(['by anybody', 'by its client'])(
    'that is deleted %s in a turn ends the turn for all of its clients',
    async (how) => {
      const world = new RelayWorld();
      const client = await world.attached('s');
      const other = await world.attached('s');
      client.call('session.send', { sessionId: 's', prompt: 'go on' });
      const waiting = other.call('session.send', { sessionId: 's', prompt: 'then this' });
      world.server.event('s', 'user.message', { messageId: 'm', content: 'go on' });
      if (how === 'by anybody') {
        const params = { type: 'session.deleted', sessionId: 's' };
        world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.lifecycle', params }));
      } else {
        client.call('session.delete', { sessionId: 's' });
        world.server.answer(world.server.last('session.delete').id, { success: true });
      }
      expect(client.events.slice(-2)).toEqual(['session.error', 'session.idle']);
      expect(other.events.slice(-2)).toEqual(['session.error', 'session.idle']);
      expect(other.answer(waiting)?.error).toBeDefined();
      world.server.event('s', 'session.idle');
      expect(client.events.filter((type) => type === 'session.idle')).toHaveLength(1);
    },
  );

  it('that is deleted without a turn is told as the server does, and by nothing more', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const params = { type: 'session.deleted', sessionId: 's' };
    world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.lifecycle', params }));
    expect(client.events).toEqual([]);
    expect(client.received.at(-1)).toMatchObject({ method: 'session.lifecycle', params });
  });

  it.each([
    [
      'by anybody',
      (world: RelayWorld) =>
        world.server.send(
          '{"jsonrpc":"2.0","method":"session.lifecycle","params":{"type":"session.deleted","sessionId":"s"}}',
        ),
    ],
    [
      'with others',
      (world: RelayWorld, client: ClientEnd) => {
        client.call('sessions.bulkDelete', { sessionIds: ['s', 't'] });
        world.server.answer(world.server.last('sessions.bulkDelete').id, { freedBytes: { s: 1 } });
      },
    ],
  ])('is forgotten when it was deleted %s', async (_, remove) => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    await world.attach(client, 't');
    remove(world, client);
    const ids = ['s', 't'].map((sessionId) => client.call('session.getMessages', { sessionId }));
    const [ofS, ofT] = world.server.all('session.getMessages');
    for (const frame of [ofS, ofT]) world.server.refuse(frame?.id, 'Session not found');
    await settle();
    expect(client.answer(ids[0] ?? 0)?.error?.message).toBe('Session not found');
    expect(world.server.all('session.resume').map(({ params }) => params?.['sessionId'])).toEqual(['s', 't', 't']);
  });

  /** A session with rules, of which the server says that it does not have it; a request waits for it. */
  async function unloadedWithRules(count = 2) {
    const world = new RelayWorld();
    const client = await world.attached('s');
    for (let n = 0; n < count; n += 1) {
      client.call(RULES, { sessionId: 's', add: [n] });
      world.server.answer(world.server.last(RULES).id, { success: true });
    }
    const id = client.call('session.getMessages', { sessionId: 's' });
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    await settle();
    return { world, client, id };
  }

  it('is told all rules before any request that comes meanwhile', async () => {
    const { world, client } = await unloadedWithRules();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    client.call('session.getMessages', { sessionId: 's' });
    expect(world.server.all(RULES).map(({ params }) => params?.['add'])).toEqual([[0], [1], [0]]);
    world.server.answer(world.server.last(RULES).id, { success: true });
    await settle();
    expect(world.server.count('session.getMessages')).toBe(1);
    expect(world.server.last(RULES).params?.['add']).toEqual([1]);
    world.server.answer(world.server.last(RULES).id, { success: true });
    await settle();
    expect(world.server.count('session.getMessages')).toBe(3);
  });

  it('and does not take a rule again: it is closed, and the client told that it is not restored', async () => {
    const { world, client, id } = await unloadedWithRules();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    world.server.refuse(world.server.last(RULES).id, 'no');
    await settle();
    world.server.answer(world.server.last('sessions.close').id, {});
    await settle();
    expect(client.answer(id)?.error).toMatchObject({ code: -32051, data: { retryable: false } });
    expect(world.server.count('session.getMessages')).toBe(1);
  });

  it('and does not answer to a rule: the request is not sent', async () => {
    const { world, client, id } = await unloadedWithRules();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    await world.clock.advance(30_001);
    expect(client.answer(id)?.error).toMatchObject({ code: -32050, data: { outcome: 'NotSent' } });
    expect(world.server.count('session.getMessages')).toBe(1);
  });

  it('without a word is first loaded as its clients had it where another one attaches', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { excludedTools: ['bash'] });
    client.call(RULES, { sessionId: 's', add: [0] });
    world.server.answer(world.server.last(RULES).id, { success: true });
    world.activityAnswer = (end, id) => end.refuse(id, 'Session not found for sessionId: s');
    const other = world.client();
    const id = other.call('session.resume', { sessionId: 's' });
    await settle();
    expect(world.server.last('session.resume').params).toMatchObject({ excludedTools: ['bash'] });
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(world.server.all(RULES).map(({ params }) => params?.['add'])).toEqual([[0], [0]]);
    world.server.answer(world.server.last(RULES).id, { success: true });
    await settle();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(other.answer(id)?.result).toBeDefined();
    expect(world.server.count('session.resume')).toBe(3);
  });

  it('with more rules than are kept is loaded for nobody', async () => {
    const { world, client, id } = await unloadedWithRules(1025);
    expect(client.answer(id)?.error).toMatchObject({ code: -32051 });
    const other = world.client();
    const attach = other.call('session.resume', { sessionId: 's' });
    await settle();
    expect(other.answer(attach)?.error).toMatchObject({ code: -32051 });
    expect(world.server.count('session.resume')).toBe(1);
    client.call('session.delete', { sessionId: 's' });
    world.server.answer(world.server.last('session.delete').id, { success: true });
    await world.attach(other, 's');
  });

  it('is not loaded for a client that is not attached', async () => {
    const world = new RelayWorld();
    await world.attached('other');
    const client = world.client();
    const id = client.call('session.getMessages', { sessionId: 's' });
    world.server.refuse(world.server.last('session.getMessages').id, 'Session not found: s');
    expect(client.answer(id)?.error?.message).toBe('Session not found: s');
  });
});

it('a client that reads too slowly is spared pieces, then cut, and its turn goes on', async () => {
  const world = new RelayWorld({ softQueueBytes: 10, hardQueueBytes: 20 });
  const [slow, other] = [await world.attached('s'), await world.attached('s')];
  slow.queuedBytes = 11;
  world.server.event('s', 'assistant.message_delta');
  world.server.event('s', 'assistant.message');
  slow.queuedBytes = 21;
  world.server.event('s', 'session.idle');
  world.server.event('s', 'session.idle');
  expect(slow.events).toEqual(['assistant.message']);
  expect(slow.cuts.map(({ reason }) => reason)).toEqual(['SlowClient']);
  expect(other.events).toEqual(['assistant.message_delta', 'assistant.message', 'session.idle', 'session.idle']);
});
