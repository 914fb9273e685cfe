import { describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const NOT_SENT = { code: -32050, data: { retryable: true, retryAfterMs: 250, outcome: 'NotSent' } };
const UNKNOWN = { code: -32050, data: { retryable: true, retryAfterMs: 250, outcome: 'Unknown' } };

describe('requests of clients', () => {
  it('share one connection, which is dialled for the first of them and opened with the server’s token', async () => {
    const world = new RelayWorld();
    const [a, b] = [world.client(), world.client()];
    expect(world.dials).toHaveLength(0);
    const [ofA, ofB] = [a.call('status.get'), b.call('status.get')];
    await settle();
    expect(world.dials).toHaveLength(1);
    expect(world.server.last('connect').params).toMatchObject({ token: 'token of the server' });
    const [first, second] = world.server.all('status.get');
    world.server.answer(second?.id, { for: 'b' });
    world.server.answer(first?.id, { for: 'a' });
    expect(a.answer(ofA)?.result).toEqual({ for: 'a' });
    expect(b.answer(ofB)?.result).toEqual({ for: 'b' });
  });

  it('may have the ids 1 and "1", and any string', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const ids = [1, '1', '"', '__proto__'];
    for (const id of ids) client.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'status.get', params: {} }));
    await settle();
    for (const { id } of world.server.all('status.get')) world.server.answer(id, { ok: id });
    expect(client.received.map(({ id }) => id)).toEqual(ids);
  });

  it('are refused with an id that is in flight, which harms the first one nothing', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const request = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'status.get', params: {} });
    client.send(request);
    client.send(request);
    expect(client.received).toEqual([
      expect.objectContaining({ id: 7, error: expect.objectContaining({ code: -32600 }) }),
    ]);
    await settle();
    expect(world.server.count('status.get')).toBe(1);
    world.server.answer(world.server.last('status.get').id, { ok: true });
    expect(client.received.at(-1)).toMatchObject({ id: 7, result: { ok: true } });
    client.send(request);
    expect(client.received).toHaveLength(2);
  });

  it('are refused beyond the limit of one client', () => {
    const world = new RelayWorld({ openRequests: 2 });
    const client = world.client();
    const ids = [1, 2, 3].map(() => client.call('status.get'));
    expect(client.answer(ids[2] ?? 0)?.error).toMatchObject({ code: -32000 });
    expect(client.answer(ids[1] ?? 0)).toBeUndefined();
  });

  it.each(['[1]', '"text"', '7'])('with the params %s are refused', (params) => {
    const client = new RelayWorld().client();
    client.send(`{"jsonrpc":"2.0","id":1,"method":"status.get","params":${params}}`);
    expect(client.answer(1)?.error).toMatchObject({ code: -32600 });
  });

  it('reach the server with every key, as it will read them', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.send(
      '{"jsonrpc":"2.0","id":1,"method":"runtime.shutdown","method":"models.list","params":{"__proto__":{"a":1}}}',
    );
    client.send('{"jsonrpc":"2.0","id":2,"method":"models.list","method":"runtime.shutdown","params":{}}');
    await settle();
    expect(client.answer(2)?.error).toEqual({ code: -32601, message: 'Unhandled method runtime.shutdown' });
    expect(JSON.stringify(world.server.last('models.list').params)).toBe('{"__proto__":{"a":1}}');
    expect(world.server.count('runtime.shutdown')).toBe(0);
  });

  it('are refused because of a parameter, with the rule, and the server never hears of them', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const [create, update] = [
      client.call('session.create', { sessionId: 'other', configDir: '/tmp/x' }),
      client.call('session.options.update', { sessionId: 's', copilotUrl: 'http://evil.example' }),
    ];
    await settle();
    expect(client.answer(create)?.error).toMatchObject({
      code: -32602,
      message: expect.stringContaining('"configDir" of session.create is refused by the rule SessionPlace'),
      data: { rule: 'SessionPlace', parameter: 'configDir' },
    });
    expect(client.answer(update)?.error).toMatchObject({ code: -32602, data: { rule: 'KeyDestination' } });
    expect([world.server.count('session.create'), world.server.count('session.options.update')]).toEqual([0, 0]);
    await world.attach(client, 'other');
    expect(world.server.last('session.resume').params).not.toHaveProperty('configDir');
  });

  it.each([
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 'a JSON-RPC batch (array)'],
    ['no JSON', 'my "secret"', 'a body that is not JSON: "..."'],
    ['a text', '"my secret"', 'the JSON value "..."'],
    ['an id of a megabyte', `{"jsonrpc":"2.0","id":"${'x'.repeat(1e6)}","method":"ping"}`, 'an "id" that is'],
    ['nesting without end', `{"jsonrpc":"2.0","id":1,"method":"ping","params":${'['.repeat(10_000)}`, 'nested deeper'],
  ])('that are %s end the connection, with a reason for the log that has nothing of them', (_, body, found) => {
    const client = new RelayWorld().client();
    client.send(body);
    expect(client.cuts).toEqual([{ reason: 'ProtocolError', message: expect.stringContaining(found) }]);
    expect(client.cuts[0]?.message).not.toContain('secret');
  });

  it('end with an unintelligible server, of whose words the log has nothing', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const id = client.call('sessions.fork');
    await settle();
    world.server.send('my secret');
    expect(client.answer(id)?.error).toMatchObject(UNKNOWN);
    expect(world.logged).toEqual([
      {
        server: 'team/acme-0',
        error: expect.stringMatching(/: expected a JSON-RPC message, found a body that is not JSON: "\.\.\."$/),
      },
    ]);
  });

  it('are refused when those that wait are too large together, while one may be of any size', async () => {
    const world = new RelayWorld({ openBytes: 1000 });
    const client = world.client();
    const large = client.call('status.get', { text: 'x'.repeat(2000) });
    const refused = client.call('status.get');
    expect(client.answer(refused)?.error).toMatchObject({ code: -32000 });
    await settle();
    world.server.answer(world.server.last('status.get').id, { ok: true });
    expect(client.answer(large)?.result).toEqual({ ok: true });
    expect(client.answer(client.call('status.get'))).toBeUndefined();
  });

  it.each([true, false])('pause their client until the server is there, or given up (there: %s)', async (isUp) => {
    const world = new RelayWorld({ failoverMs: 1000 });
    world.isUp = isUp;
    const client = world.client();
    client.call('status.get');
    expect(client.isPaused).toBe(true);
    await settle();
    expect(client.isPaused).toBe(!isUp);
    await world.clock.advance(1250);
    expect(client.isPaused).toBe(false);
  });

  it('wait for the dial up to a number of bytes', async () => {
    const world = new RelayWorld({ dialQueueBytes: 1000 });
    const [a, b] = [world.client(), world.client()];
    a.call('status.get', { text: 'x'.repeat(900) });
    const refused = b.call('status.get', { text: 'x'.repeat(900) });
    expect(b.answer(refused)?.error).toMatchObject(NOT_SENT);
    await settle();
    expect(world.server.count('status.get')).toBe(1);
    b.call('status.get', { text: 'x'.repeat(900) });
    expect(world.server.count('status.get')).toBe(2);
  });

  it('pause their client while the server does not read', async () => {
    const world = new RelayWorld();
    const [client, other] = [world.client(), world.client()];
    client.call('status.get');
    await settle();
    world.server.isWritable = false;
    client.call('status.get');
    expect([client.isPaused, other.isPaused]).toEqual([true, false]);
    world.server.events.drained();
    expect(client.isPaused).toBe(false);
  });
});

describe('a server that cannot be reached', () => {
  it('is dialled again and again, sooner at first, and what waits for it goes to it', async () => {
    const world = new RelayWorld();
    const client = world.client();
    world.isUp = false;
    const id = client.call('status.get');
    await settle();
    const dialled: number[] = [];
    for (const ms of [24, 1, 50, 100, 200, 249, 1]) {
      await world.clock.advance(ms);
      dialled.push(world.dials.length);
    }
    expect(dialled).toEqual([1, 2, 3, 4, 5, 5, 6]);
    world.isUp = true;
    await world.clock.advance(250);
    world.server.answer(world.server.last('status.get').id, { ok: true });
    expect(client.answer(id)?.result).toEqual({ ok: true });
  });

  it('fails what waits for it after a while, and from then on what comes with the next dial', async () => {
    const world = new RelayWorld({ awayMs: 60_000 });
    const client = world.client();
    world.isUp = false;
    const first = client.call('status.get');
    await world.clock.advance(59_999);
    expect(client.answer(first)).toBeUndefined();
    await world.clock.advance(251);
    expect(client.answer(first)?.error).toMatchObject(NOT_SENT);
    const dials = world.dials.length;
    const second = client.call('status.get');
    await world.clock.advance(250);
    expect(client.answer(second)?.error).toMatchObject(NOT_SENT);
    expect(world.dials).toHaveLength(dials + 1);
    // Nobody has looked for a while: it may be about to come.
    await world.clock.advance(60_000);
    const third = client.call('status.get');
    await world.clock.advance(59_000);
    expect(client.answer(third)).toBeUndefined();
    world.isUp = true;
    await world.clock.advance(250);
    expect(world.server.count('status.get')).toBe(1);
  });

  it('that does not answer "connect" in time is dialled again', async () => {
    const world = new RelayWorld({ dialTimeoutMs: 100 });
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    const never = () => new Promise<string>(() => undefined);
    world.fleet.change({ servers: servers.map((server) => ({ ...server, token: never })) });
    const client = world.client();
    client.call('status.get');
    await world.clock.advance(101);
    world.fleet.change({ servers });
    await world.clock.advance(25);
    expect(world.server.count('status.get')).toBe(1);
  });

  it('is not dialled twice when the token of an attempt that was given up comes late', async () => {
    const world = new RelayWorld({ dialTimeoutMs: 100 });
    const { promise, resolve } = Promise.withResolvers<string>();
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    world.fleet.change({ servers: servers.map((server) => ({ ...server, token: () => promise })) });
    const client = world.client();
    client.call('status.get');
    await world.clock.advance(101);
    const id = client.call('status.get');
    await world.clock.advance(250);
    resolve('token');
    await settle();
    expect(world.dials).toHaveLength(1);
    world.server.answer(world.server.last('status.get').id, { ok: true });
    expect(client.answer(id)?.result).toEqual({ ok: true });
  });

  it('that refuses its token has it read again', async () => {
    const world = new RelayWorld();
    let refused = 0;
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    world.fleet.change({ servers: servers.map((server) => ({ ...server, tokenRefused: () => void (refused += 1) })) });
    world.connectAnswer = (end, id) => end.refuse(id, 'AUTHENTICATION_FAILED');
    const client = world.client();
    const id = client.call('status.get');
    await settle();
    expect(refused).toBe(1);
    world.connectAnswer = (end, request) => end.answer(request, { ok: true });
    await world.clock.advance(25);
    world.server.answer(world.server.last('status.get').id, { ok: true });
    expect(client.answer(id)?.result).toEqual({ ok: true });
  });

  it('when it is lost, has what it has not answered asked again, unless that might be done twice', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const [reads, forks] = [client.call('status.get'), client.call('sessions.fork', { sessionId: 's' })];
    await settle();
    world.server.events.closed(undefined);
    expect(client.answer(forks)?.error).toMatchObject(UNKNOWN);
    await settle();
    expect(world.dials).toHaveLength(2);
    expect(world.server.count('sessions.fork')).toBe(0);
    world.server.answer(world.server.last('status.get').id, { ok: true });
    expect(client.answer(reads)?.result).toEqual({ ok: true });
  });

  it('is not brought down more than four times by the same request', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const id = client.call('status.get');
    for (let dials = 1; dials <= 4; dials += 1) {
      await settle();
      expect(world.dials).toHaveLength(dials);
      expect(client.answer(id)).toBeUndefined();
      world.server.events.closed(undefined);
    }
    expect(client.answer(id)?.error).toMatchObject(UNKNOWN);
  });

  it.each([
    'SERVER_SHUTTING_DOWN',
    'Request session.create failed with message: Standalone managed telemetry preparation failed: SDK connection closed',
    'Request session.resume failed with message: SDK connection closed during registration',
    'Request session.mode.get failed with message: session event host was disconnected',
    'Request session.send failed with message: session event host disconnected before acknowledging the pending_messages.modified event',
  ])('that stops and says %j is lost already', async (message) => {
    const world = new RelayWorld();
    const client = world.client();
    const id = client.call('session.mode.get', { sessionId: 's' });
    await settle();
    world.server.refuse(world.server.last('session.mode.get').id, message);
    await settle();
    expect(world.dials).toHaveLength(2);
    world.server.answer(world.server.last('session.mode.get').id, 'plan' as unknown as object);
    expect(client.answer(id)?.result).toBe('plan');
  });

  it('that ends a turn because it stops is lost already, and its clients do not hear of the end', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    world.server.event('s', 'session.error', { message: 'Execution failed: session event host was disconnected' });
    await settle();
    expect(world.dials).toHaveLength(2);
    const types = client.received.map(({ params }) => (params?.['event'] as { type?: string } | undefined)?.type);
    expect(types).not.toContain('session.error');
  });

  it('is not taken for one that stops because it quotes a client that says so', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const id = client.call('session.mode.set', { sessionId: 's', mode: 'SDK connection closed' });
    await settle();
    const message = 'Request session.mode.set failed with message: invalid mode "session event host was disconnected"';
    world.server.refuse(world.server.last('session.mode.set').id, message);
    await settle();
    expect(world.dials).toHaveLength(1);
    expect(client.answer(id)?.error?.message).toBe(message);
  });

  it('of a tenant that has none now is waited for, and dialled as soon as it is there', async () => {
    const world = new RelayWorld();
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    world.fleet.change({ servers: [] });
    const client = world.client();
    const id = client.call('status.get');
    await world.clock.advance(10_000);
    expect(client.answer(id)).toBeUndefined();
    world.fleet.change({ servers });
    await settle();
    expect(world.server.count('status.get')).toBe(1);
  });

  it('is waited for while another one of the tenant serves, which does not have its sessions', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    const second = servers.map((server) => ({ ...server, key: 'team/acme-1', podUID: 'pod-of-1' }));
    world.fleet.change({ servers: second, volumes: ['team/acme-0', 'team/acme-1'] });
    const id = client.call('session.getMessages', { sessionId: 's' });
    await settle();
    expect(client.answer(id)).toBeUndefined();
    expect(world.dials).toHaveLength(1);
    world.fleet.change({ servers: [...servers, ...second] });
    await settle();
    expect(world.server.last('session.resume').params?.['sessionId']).toBe('s');
  });

  it('of a tenant whose name is that of another one’s server stays its own', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('status.get');
    await settle();
    const stranger = world.client({ namespace: 'team', name: 'acme-0' });
    const id = stranger.call('status.get');
    expect(stranger.answer(id)?.error).toMatchObject(NOT_SENT);
    world.server.send('{"jsonrpc":"2.0","method":"session.lifecycle","params":{"sessionId":"x"}}');
    expect([client, stranger].map(({ received }) => received.some(({ method }) => method !== undefined))).toEqual([
      true,
      false,
    ]);
  });

  it('is left when its pod is another one', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('status.get');
    await settle();
    const { servers = [] } = world.fleet.find({ namespace: 'team', name: 'acme' }) ?? {};
    world.fleet.change({ servers });
    expect(world.server.isClosed).toBe(false);
    world.fleet.change({ servers: servers.map((server) => ({ ...server, podUID: 'pod-2' })) });
    expect(world.server.isClosed).toBe(true);
    await settle();
    expect(world.dials).toHaveLength(2);
    expect(world.server.count('status.get')).toBe(1);
  });
});

describe('a tenant that was made again under its name', () => {
  it('gets nothing of what was kept of the one before, and clients of that one do not reach it', async () => {
    const world = new RelayWorld();
    const stays = await world.attached('s', { provider: { apiKey: 'of the first' } });
    (await world.attached('t')).leave();
    world.fleet.change({ uid: 'uid-of-another' });
    expect(world.dials[0]?.isClosed).toBe(true);
    const late = stays.call('status.get');
    expect(stays.answer(late)?.error).toMatchObject(NOT_SENT);
    const client = world.client();
    client.call('session.resume', { sessionId: 's' });
    await settle();
    expect(world.dials).toHaveLength(2);
    expect(world.server.last('session.resume').params).not.toHaveProperty('provider');
    stays.leave();
    client.leave();
    world.fleet.change({ uid: 'uid-of-a-third' });
    await settle();
    expect(world.clock.pendingTimers).toBe(0);
  });
});

describe('a server that lies', () => {
  it('answers twice, to nobody, and with answers of its own form', async () => {
    const world = new RelayWorld();
    const client = world.client();
    const id = client.call('status.get');
    await settle();
    const upstream = world.server.last('status.get').id;
    world.server.send(`{"id":${String(upstream)},"result":{"odd":true},"jsonrpc":"2.0"}`);
    world.server.answer(upstream, { second: true });
    world.server.answer(999, { to: 'nobody' });
    expect(client.received).toEqual([{ jsonrpc: '2.0', id, result: { odd: true } }]);
  });

  it('sends events of sessions that nobody has, and notifications without a session', async () => {
    const world = new RelayWorld();
    const client = await world.attached('mine');
    const before = client.received.length;
    world.server.event('other', 'assistant.message');
    world.server.send('{"jsonrpc":"2.0","method":"gitHubTelemetry.event","params":{}}');
    world.server.send('{"jsonrpc":"2.0","method":"host.event","params":{"scope":{"sessionId":"other"}}}');
    expect(client.received).toHaveLength(before);
    world.server.send(
      '{"jsonrpc":"2.0","method":"session.lifecycle","params":{"type":"session.created","sessionId":"x"}}',
    );
    world.server.send('{"jsonrpc":"2.0","method":"host.event","params":{"scope":{"sessionId":"mine"}}}');
    expect(client.received.slice(before).map(({ method }) => method)).toEqual(['session.lifecycle', 'host.event']);
  });

  it('asks without end and reads nothing is left, with a short answer to each', async () => {
    const world = new RelayWorld({ serverUnreadBytes: 1000 });
    await world.attached('mine');
    const { server } = world;
    server.request(0, `x${'y'.repeat(1e6)}`, {});
    expect(server.answered(0)?.error?.message).toHaveLength('Unhandled method '.length + 128);
    server.isWritable = false;
    server.request(1, 'nonsense', {});
    server.events.drained();
    let asked = 1;
    while (!server.isClosed && asked < 100) server.request((asked += 1), 'nonsense', {});
    expect(server.isClosed).toBe(true);
    expect(asked).toBeGreaterThan(10);
  });

  it('asks what is for nobody', async () => {
    const world = new RelayWorld();
    await world.attached('mine');
    const { server } = world;
    server.request(1, 'llmInference.httpRequestStart', { sessionId: 'mine' });
    server.request(2, 'userInput.request', {});
    server.request(3, 'hooks.invoke', { sessionId: 'other', hookType: 'preToolUse' });
    expect(server.answered(1)?.error).toEqual({
      code: -32601,
      message: 'Unhandled method llmInference.httpRequestStart',
    });
    expect(server.answered(2)?.error?.code).toBe(-32603);
    expect(server.answered(3)?.result).toMatchObject({ output: { permissionDecision: 'deny' } });
  });

  it('sends a frame that is too large: only who waits for it is told, and what follows is read', async () => {
    const world = new RelayWorld({ serverFrameBytes: 1000 });
    const client = await world.attached('mine');
    const id = client.call('status.get');
    world.server.answer(world.server.last('status.get').id, { text: 'x'.repeat(2000) });
    world.server.event('mine', 'assistant.message', { text: 'x'.repeat(2000) });
    world.server.event('mine', 'session.idle');
    expect(client.answer(id)?.error?.message).toMatch(/^the answer has 2\d+ bytes, more than the 1000 allowed$/);
    expect(client.events).toEqual(['session.idle']);
  });

  it('sends what is no frame: the connection ends, and it is dialled again', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('status.get');
    await settle();
    world.server.events.data(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(world.server.isClosed).toBe(true);
    await settle();
    expect(world.server.count('status.get')).toBe(1);
  });
});
