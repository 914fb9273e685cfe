import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  AuthFailedError,
  Client,
  ProtocolError,
  RpcError,
  TimeoutError,
  UnreachableError,
  encodeFrame,
  getSessionSizes,
  getStatus,
  listSessions,
  ping,
  type ClientOptions,
  type CopilotError,
} from '../../../src/copilot/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer, type FakeWire } from '../../support/fake-network.ts';

const timeoutMs = 5000;
let clock: FakeClock;
let network: FakeNetwork;
let server: FakeServer;

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork();
  server = network.add('acme-0');
});

function connection(options: Partial<ClientOptions> = {}): Client {
  return new Client({ host: 'acme-0', port: 4321, token: 'sesame', timers: clock, dial: network.dial, ...options });
}

async function opened(options: Partial<ClientOptions> = {}): Promise<Client> {
  const made = connection(options);
  await made.open({ timeoutMs });
  return made;
}

function theWire(): FakeWire {
  const [wire] = server.wires;
  if (wire === undefined) throw new Error('no client is connected');
  return wire;
}

/** Passes time until the promise has failed. */
async function failure(promise: Promise<unknown>, within = 0): Promise<CopilotError> {
  let found: unknown;
  const watched = promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => {
      found = error;
    },
  );
  await clock.advance(within);
  await settle();
  if (found === undefined) throw new Error(`it has not failed within ${within} ms`);
  await watched;
  return found as CopilotError;
}

describe('opening a connection', () => {
  it('presents the token first', async () => {
    await opened();
    expect(server.received).toMatchObject([{ method: 'connect', params: { token: 'sesame' } }]);
  });

  it('presents no token when there is none', async () => {
    server.answers['connect'] = () => ({ result: { ok: true } });
    await new Client({ host: 'acme-0', port: 4321, timers: clock, dial: network.dial }).open({ timeoutMs });
    expect(server.received).toMatchObject([{ method: 'connect', params: {} }]);
  });

  it('fails with AuthFailed on a wrong token, without showing it, and leaves no socket', async () => {
    const error = await failure(connection({ token: 'guessed-token' }).open({ timeoutMs }));
    expect(error).toBeInstanceOf(AuthFailedError);
    expect(error.message).toContain('acme-0:4321: the server refused the connection token');
    expect(error.message).not.toContain('guessed-token');
    expect(server.wires.size).toBe(0);
  });

  it.each([
    ['refuses', 0, UnreachableError, 'acme-0:4321: cannot connect: nothing listens on the port (ECONNREFUSED)'],
    ['blackhole', 5010, UnreachableError, 'acme-0:4321: no TCP connection within 5000 ms'],
    [
      'silent',
      5010,
      TimeoutError,
      'acme-0:4321: the server accepted the connection but did not answer "connect" within 5000 ms',
    ],
  ] as const)('to a server that %s fails after %d ms', async (behaviour, within, type, message) => {
    server.behaviour = behaviour;
    const error = await failure(connection().open({ timeoutMs }), within);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toBe(message);
    expect(server.wires.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('fails with Unreachable when the name does not resolve', async () => {
    const error = await failure(connection({ host: 'nowhere' }).open({ timeoutMs }));
    expect(error).toBeInstanceOf(UnreachableError);
    expect(error.message).toBe('nowhere:4321: cannot connect: the name does not resolve (ENOTFOUND)');
  });

  it('fails with Unreachable when the dialler throws', async () => {
    const dial = () => {
      throw new RangeError('port out of range');
    };
    const broken = connection({ dial });
    const error = await failure(broken.open({ timeoutMs }));
    expect(error).toBeInstanceOf(UnreachableError);
    expect(error.message).toBe('acme-0:4321: cannot dial: port out of range');
    expect(broken.closed).toBe(true);
  });

  it('fails with Unreachable when the server is shutting down', async () => {
    server.answers['connect'] = () => ({ error: { code: -32000, message: 'SERVER_SHUTTING_DOWN' } });
    const error = await failure(connection().open({ timeoutMs }));
    expect(error).toBeInstanceOf(UnreachableError);
    expect(error.message).toContain('shutting down');
  });

  it('fails with ProtocolError when garbage follows the answer at once', async () => {
    server.answers['connect'] = () => {
      server.sendRaw(`${encodeFrame('{"jsonrpc":"2.0","id":1,"result":{}}')}garbage\r\n`);
      return undefined;
    };
    expect(await failure(connection().open({ timeoutMs }))).toBeInstanceOf(ProtocolError);
    expect(server.wires.size).toBe(0);
  });

  it('fails if the client is closed meanwhile', async () => {
    server.behaviour = 'silent';
    const closing = connection();
    const opening = failure(closing.open({ timeoutMs }));
    closing.close();
    expect((await opening).message).toBe('acme-0:4321: the connection was closed by this side');
    expect(clock.pendingTimers).toBe(0);
  });

  it('is possible once', async () => {
    const used = await opened();
    await expect(used.open({ timeoutMs })).rejects.toThrow('open() was already called');
  });

  it('comes before any call', async () => {
    await expect(ping(connection(), { timeoutMs })).rejects.toThrow('ping was called before open()');
  });

  it('writes IPv6 addresses with brackets', () => {
    expect(connection({ host: 'fd00::1' }).address).toBe('[fd00::1]:4321');
  });
});

describe('a request', () => {
  it('gets its own answer, in whatever order they come', async () => {
    const open = await opened();
    const waiting: number[] = [];
    server.answers['slow'] = ({ id }) => {
      waiting.push(Number(id));
      return undefined;
    };
    const both = Promise.all([open.request('slow', {}, { timeoutMs }), open.request('slow', {}, { timeoutMs })]);
    for (const id of waiting.toReversed()) server.send({ jsonrpc: '2.0', id, result: id });
    expect(await both).toEqual(waiting);
  });

  it('fails with RpcError after an error answer, and the connection stays open', async () => {
    const open = await opened();
    const error = await failure(open.request('models.list', {}, { timeoutMs }));
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({ code: -32601 });
    expect(error.message).toBe('acme-0:4321: models.list failed with error -32601 "Unhandled method models.list"');
    expect(await ping(open, { timeoutMs })).toEqual({ protocolVersion: 3 });
  });

  it('fails with Timeout at its deadline, and its late answer is dropped', async () => {
    const open = await opened();
    let late: unknown;
    server.answers['ping'] = ({ id }) => {
      late = id;
      return undefined;
    };
    const error = await failure(ping(open, { timeoutMs: 100 }), 110);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toBe('acme-0:4321: no answer to ping within 100 ms');
    server.send({ jsonrpc: '2.0', id: late, result: {} });
    expect(await getStatus(open, { timeoutMs })).toEqual({ version: '1.0.102', protocolVersion: 3 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('accepts an answer that was in the socket while the process was paused beyond the deadline', async () => {
    const due: (() => void)[] = [];
    const timers = { setTimer: (_: number, fn: () => void) => ({ cancel: () => void 0, index: due.push(fn) }) };
    const open = await opened({ timers });
    server.answers['ping'] = () => undefined;
    const pinging = ping(open, { timeoutMs: 100 });
    // After a pause the event loop runs the timers that are due, then reads the sockets, then runs newer timers.
    due.at(-1)?.();
    server.send({ jsonrpc: '2.0', id: 2, result: { protocolVersion: 3 } });
    due.at(-1)?.();
    expect(await pinging).toEqual({ protocolVersion: 3 });
  });

  it.each([
    ['FIN', undefined, 'acme-0:4321: the server closed the connection'],
    ['reset', 'ECONNRESET', 'acme-0:4321: the server closed the connection (ECONNRESET)'],
  ])('fails with Unreachable when the connection ends by %s', async (_, code, message) => {
    const lost: CopilotError[] = [];
    const open = await opened({ onLost: (error) => lost.push(error) });
    server.answers['ping'] = () => undefined;
    const pinging = failure(ping(open, { timeoutMs }));
    server.cut(code);
    const error = await pinging;
    expect(error).toBeInstanceOf(UnreachableError);
    expect(error.message).toBe(message);
    expect(lost).toEqual([error]);
    expect(open.closed).toBe(true);
    await expect(ping(open, { timeoutMs })).rejects.toBe(error);
    expect(clock.pendingTimers).toBe(0);
  });

  it('fails when the connection ends in the middle of its answer, and says so', async () => {
    const open = await opened();
    server.answers['ping'] = () => undefined;
    const pinging = failure(ping(open, { timeoutMs }));
    server.sendRaw('Content-Length: 100\r\n\r\n{"jsonrpc":');
    server.cut();
    expect((await pinging).message).toContain('in the middle of a frame');
  });

  it('ends the connection after a thousand of them were not answered', async () => {
    const open = await opened();
    server.answers['ping'] = () => undefined;
    for (let sent = 0; sent < 1024; sent += 1) {
      ping(open, { timeoutMs: 10 }).catch((error: unknown) => expect(error).toBeInstanceOf(TimeoutError));
    }
    await clock.advance(20);
    expect(open.closed).toBe(false);
    await failure(ping(open, { timeoutMs: 10 }), 20);
    expect(open.closed).toBe(true);
  });
});

describe('a connection', () => {
  it('is not reported lost after close(), and closing again does nothing', async () => {
    const lost: CopilotError[] = [];
    const open = await opened({ onLost: (error) => lost.push(error) });
    open.close();
    open.close();
    await settle();
    expect(lost).toEqual([]);
    expect(server.wires.size).toBe(0);
  });

  it.each([
    [
      'a claim of 200 MB',
      'Content-Length: 209715200\r\n\r\n',
      'a frame of 209715200 bytes, more than the 16777216 allowed',
    ],
    ['a batch', encodeFrame('[]'), 'a JSON-RPC batch'],
    ['an HTTP answer', 'HTTP/1.1 400 Bad Request\r\n', 'a web server'],
    ['an answer without a request', encodeFrame('{"jsonrpc":"2.0","id":77,"result":{}}'), 'found the id "77"'],
    [
      'an error without a request id',
      encodeFrame('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}'),
      'error -32700 "what?" without a request id',
    ],
  ])('is closed by %s', async (_, bytes, found) => {
    const lost: CopilotError[] = [];
    const open = await opened({ onLost: (error) => lost.push(error) });
    server.sendRaw(bytes);
    expect(open.closed).toBe(true);
    expect(server.wires.size).toBe(0);
    expect(lost).toHaveLength(1);
    expect(lost[0]).toBeInstanceOf(ProtocolError);
    expect(lost[0]?.message).toMatch(/^acme-0:4321: /);
    expect(lost[0]?.message).toContain(found);
  });

  it('refuses an answer that comes twice', async () => {
    const open = await opened();
    await ping(open, { timeoutMs });
    server.send({ jsonrpc: '2.0', id: 2, result: {} });
    expect(open.closed).toBe(true);
  });

  it('has a frame limit of its own', async () => {
    const open = await opened({ maxFrameBytes: 1000 });
    server.sendRaw('Content-Length: 1001\r\n\r\n');
    expect(open.closed).toBe(true);
  });

  it('leaves the token out of an error even if the peer echoes it', async () => {
    const open = await opened({ token: 'sesame' });
    server.answers['ping'] = () => ({ error: { code: 1, message: 'bad token sesame' } });
    expect((await failure(ping(open, { timeoutMs }))).message).toContain('bad token [token]');
    const lost: CopilotError[] = [];
    await opened({ onLost: (error) => lost.push(error) });
    server.sendRaw('sesame: 1\r\nopen sesame\r\n');
    expect(lost[0]?.message).toContain('open [token]');
  });

  it('leaves the token out of what is derived from an answer, wherever the server puts it', async () => {
    const token = 'f3b1c0ffee-f3b1c0ffee-f3b1c0ffee-f3b1c0ffee';
    server.token = token;
    const open = await opened({ token });
    server.answers['status.get'] = () => ({ result: { version: token, protocolVersion: 3 } });
    const asVersion = await failure(getStatus(open, { timeoutMs }));
    server.answers['ping'] = () => ({ result: { protocolVersion: `${'x'.repeat(60)}${token}` } });
    const acrossTheCut = await failure(ping(open, { timeoutMs }));
    for (const { message } of [asVersion, acrossTheCut]) {
      expect(message).toContain('[token]');
      expect(message).not.toContain(token.slice(0, 10));
    }
  });

  it('answers the requests of the server with method not found', async () => {
    await opened();
    server.send({ jsonrpc: '2.0', id: 'a-1', method: 'userInput.request', params: {} });
    expect(server.received.at(-1)).toEqual({
      jsonrpc: '2.0',
      id: 'a-1',
      error: { code: -32601, message: 'this client has no method "userInput.request"' },
    });
  });

  it('stops reading from a peer that sends requests and does not read the answers, until it does', async () => {
    await opened();
    const wire = theWire();
    wire.accepting = false;
    server.send({ jsonrpc: '2.0', id: 1, method: 'hooks.invoke', params: {} });
    expect(wire.paused).toBe(true);
    wire.drain();
    expect(wire.paused).toBe(false);
  });

  it('passes notifications to its handler, and ignores them without one', async () => {
    const seen: unknown[] = [];
    const open = await opened({ onNotification: (method, params) => seen.push([method, params]) });
    server.send({ jsonrpc: '2.0', method: 'session.lifecycle', params: { type: 'created' } });
    expect(seen).toEqual([['session.lifecycle', { type: 'created' }]]);
    const without = await opened();
    server.send({ jsonrpc: '2.0', method: 'session.lifecycle', params: {} });
    expect([open.closed, without.closed]).toEqual([false, false]);
  });

  it('ends with an error that says so when its handler throws', async () => {
    const lost: CopilotError[] = [];
    const onNotification = () => {
      throw new TypeError('no such session');
    };
    await opened({ onNotification, onLost: (error) => lost.push(error) });
    server.send({ jsonrpc: '2.0', method: 'session.lifecycle', params: {} });
    expect(lost[0]).toMatchObject({ message: 'acme-0:4321: no such session', cause: expect.any(TypeError) as unknown });
  });
});

describe('the calls', () => {
  it('list sessions by id and times only', async () => {
    server.answers['sessions.list'] = ({ params }) => {
      expect(params).toEqual({ source: 'local', metadataLimit: 0 });
      const [startTime, modifiedTime] = ['2026-11-22T08:17:46.953Z', '2026-11-22T09:00:00Z'];
      return { result: { sessions: [{ sessionId: 'chat_1', startTime, modifiedTime, summary: 'private words' }] } };
    };
    expect(await listSessions(await opened(), { timeoutMs })).toEqual([
      { sessionId: 'chat_1', startTime: '2026-11-22T08:17:46.953Z', modifiedTime: '2026-11-22T09:00:00Z' },
    ]);
  });

  it('give the sizes of sessions by id', async () => {
    server.answers['sessions.getSizes'] = () => ({ result: { sizes: { chat_1: 26_970, '-x': 0 } } });
    expect([...(await getSessionSizes(await opened(), { timeoutMs }))]).toEqual([
      ['chat_1', 26_970],
      ['-x', 0],
    ]);
  });

  it.each([
    ['ping', { result: 'pong' }, ping, '"result": "\\"pong\\""'],
    ['ping', { result: {} }, ping, '"protocolVersion": nothing'],
    ['status.get', { result: { version: '1.0\n', protocolVersion: 3 } }, getStatus, '"version"'],
    ['status.get', { result: { version: 'x'.repeat(65), protocolVersion: 3 } }, getStatus, '"version"'],
    ['sessions.list', { result: { sessions: {} } }, listSessions, '"sessions"'],
    ['sessions.list', { result: { sessions: [null] } }, listSessions, '"sessions[]": "null"'],
    ['sessions.list', { result: { sessions: [{ sessionId: 7 }] } }, listSessions, '"sessionId"'],
    ['sessions.getSizes', { result: {} }, getSessionSizes, '"sizes": nothing'],
    ['sessions.getSizes', { result: { sizes: { a: '12' } } }, getSessionSizes, '"sizes": "\\"12\\""'],
    ['sessions.getSizes', { result: { sizes: [1] } }, getSessionSizes, '"sizes"'],
  ])('refuse an unexpected answer to %s: %j', async (method, answer, call, found) => {
    server.answers[method] = () => answer;
    const error = await failure(call(await opened(), { timeoutMs }));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error.message).toContain(`acme-0:4321: the answer to ${method} has an unexpected ${found}`);
  });
});
