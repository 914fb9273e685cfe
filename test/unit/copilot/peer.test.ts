// The neutral end of a connection, on both sides of an in-memory one.
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  Peer,
  ProtocolError,
  RequestRefusal,
  RpcError,
  TimeoutError,
  UnreachableError,
  encodeFrame,
  type CopilotError,
  type PeerOptions,
} from '../../../src/copilot/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { PairedWire } from '../../support/wire-pair.ts';

let clock: FakeClock;
let serverWire: PairedWire;
let clientWire: PairedWire;

beforeEach(() => {
  clock = new FakeClock();
  [serverWire, clientWire] = PairedWire.pair();
});

/** The end that a server has of its connection from a client. */
function serverEnd(options: Partial<PeerOptions> = {}): Peer {
  return new Peer(serverWire.attach, { address: 'app:50000', otherSide: 'client', timers: clock, ...options });
}

function clientEnd(options: Partial<PeerOptions> = {}): Peer {
  return new Peer(clientWire.attach, { address: 'acme-0:4321', otherSide: 'server', timers: clock, ...options });
}

const closed = () => new UnreachableError('app:50000: closed by the test');

describe('a request of the other side', () => {
  it('is answered with what the handler returns or resolves to', async () => {
    const onRequest = (method: string, params: unknown) =>
      method === 'later' ? Promise.resolve({ method, params }) : { method, params };
    serverEnd({ onRequest });
    const client = clientEnd();
    expect(await client.request('now', { a: 1 })).toEqual({ method: 'now', params: { a: 1 } });
    expect(await client.request('later', { b: 2 })).toEqual({ method: 'later', params: { b: 2 } });
  });

  it('is answered with null when the handler returns nothing', async () => {
    serverEnd({ onRequest: () => undefined });
    expect(await clientEnd().request('connect', {})).toBeNull();
  });

  it('may be made in both directions at once, under the same ids', async () => {
    const server: Peer = serverEnd({ onRequest: () => server.request('approve', {}) });
    const client = clientEnd({ onRequest: (method) => ({ answerTo: method }) });
    expect(await client.request('send', {})).toEqual({ answerTo: 'approve' });
  });

  it('is refused as the handler says', async () => {
    const onRequest = () => {
      throw new RequestRefusal(-32002, 'AUTHENTICATION_FAILED');
    };
    const errors: unknown[] = [];
    serverEnd({ onRequest, onHandlerError: (error) => errors.push(error) });
    const refused = clientEnd().request('connect', {});
    await expect(refused).rejects.toThrow(RpcError);
    await expect(refused).rejects.toMatchObject({ code: -32002 });
    expect(errors).toEqual([]);
  });

  it.each([
    ['throws', () => JSON.parse('{') as unknown, SyntaxError],
    ['rejects', () => Promise.reject(new TypeError('secret')), TypeError],
    ['returns what JSON can not hold', () => 1n, TypeError],
  ])('is an internal error when the handler %s, and the connection goes on', async (_, onRequest, type) => {
    const errors: [unknown, string][] = [];
    serverEnd({ onRequest, onHandlerError: (...error) => errors.push(error) });
    const client = clientEnd();
    const failed = client.request('connect', {});
    await expect(failed).rejects.toThrow('acme-0:4321: connect failed with error -32603 "internal error"');
    expect(errors).toEqual([[expect.any(type), 'connect']]);
    expect(client.end).toBeUndefined();
  });

  it('is refused as an unknown method without a handler', async () => {
    serverEnd();
    const refused = clientEnd().request('connect', {});
    await expect(refused).rejects.toThrow('this server has no method');
    await expect(refused).rejects.toMatchObject({ code: -32601 });
  });

  it('that is answered after the close is not answered on the wire', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const server = serverEnd({ onRequest: () => promise });
    const failed = clientEnd().request('slow', {});
    await settle();
    server.close(closed());
    resolve('late');
    await expect(failed).rejects.toThrow('acme-0:4321: the server closed the connection');
    await settle();
    expect(serverWire.written).toEqual([]);
  });

  it('is refused while a thousand others are handled, and accepted again afterwards', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    serverEnd({ onRequest: () => promise });
    const client = clientEnd();
    const taken = Array.from({ length: 1024 }, () => client.request('slow', {}));
    await expect(client.request('slow', {})).rejects.toThrow('more than 1024 requests are open');
    resolve('done');
    expect(new Set(await Promise.all(taken))).toEqual(new Set(['done']));
    expect(await client.request('slow', {})).toBe('done');
  });
});

describe('a request of this side', () => {
  it('waits as long as the connection lasts without a deadline', async () => {
    serverEnd({ onRequest: () => new Promise(() => undefined) });
    const client = clientEnd();
    let failure: unknown;
    client.request('ask the user', {}).catch((error: unknown) => (failure = error));
    await clock.advance(3_600_000);
    expect([failure, clock.pendingTimers]).toEqual([undefined, 0]);
    const reason = new UnreachableError('acme-0:4321: closed by the test');
    expect(client.close(reason)).toBe(reason);
    await settle();
    expect(failure).toBe(reason);
    await expect(client.request('ping', {})).rejects.toBe(reason);
  });

  it('fails at its deadline, and its late answer is dropped', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    serverEnd({ onRequest: (method) => (method === 'slow' ? promise : 'pong') });
    const client = clientEnd();
    const failed = client.request('slow', {}, { timeoutMs: 100 }).catch((error: unknown) => error);
    await clock.advance(110);
    expect(await failed).toBeInstanceOf(TimeoutError);
    resolve('late');
    expect(await client.request('ping', {})).toBe('pong');
  });
});

describe('a notification', () => {
  it('reaches the other side, and is dropped after the close', async () => {
    const seen: unknown[] = [];
    const server = serverEnd();
    clientEnd({ onNotification: (method, params) => seen.push([method, params]) });
    server.notify('session.lifecycle', { type: 'session.created' });
    await settle();
    expect(seen).toEqual([['session.lifecycle', { type: 'session.created' }]]);
    server.close(closed());
    server.notify('session.lifecycle', {});
    await settle();
    expect(seen).toHaveLength(1);
  });
});

describe('back-pressure', () => {
  it('is put on a side that sends requests and does not read the answers', async () => {
    serverEnd({ onRequest: () => 'answer' });
    const client = clientEnd();
    clientWire.pause();
    const answers = [client.request('one', {}), client.request('two', {})];
    await settle();
    expect(serverWire.paused).toBe(true);
    clientWire.resume();
    await settle();
    expect(serverWire.paused).toBe(false);
    expect(await Promise.all(answers)).toEqual(['answer', 'answer']);
  });

  it('is reported for a side that does not read, until it does', async () => {
    const drained: boolean[] = [];
    const server: Peer = serverEnd({ onDrained: () => drained.push(server.isWritable) });
    const seen: string[] = [];
    const client = clientEnd({ onNotification: (method) => seen.push(method) });
    server.notify('first', {});
    await settle();
    expect(server.isWritable).toBe(true);
    client.pause();
    server.notify('second', {});
    await settle();
    expect([server.isWritable, seen]).toEqual([false, ['first']]);
    client.resume();
    await settle();
    expect([server.isWritable, seen, drained]).toEqual([true, ['first', 'second'], [true]]);
  });

  it('goes on while either reason for it remains', async () => {
    const server = serverEnd({ onRequest: () => 'answer' });
    const client = clientEnd();
    clientWire.pause();
    void client.request('one', {});
    await settle();
    server.pause();
    clientWire.resume();
    await settle();
    expect(serverWire.paused).toBe(true);
    server.resume();
    expect(serverWire.paused).toBe(false);
  });
});

describe('the end of a connection', () => {
  it('is reported once when the other side closes it, and not when this side does', async () => {
    const lost: CopilotError[] = [];
    const own: CopilotError[] = [];
    const server = serverEnd({ onLost: (error) => own.push(error) });
    const client = clientEnd({ onLost: (error) => lost.push(error) });
    const reason = closed();
    expect(server.close(reason)).toBe(reason);
    expect(server.close(closed())).toBe(reason);
    await settle();
    expect(own).toEqual([]);
    expect(lost.map(({ message }) => message)).toEqual(['acme-0:4321: the server closed the connection']);
    expect(client.end).toBe(lost[0]);
  });

  it('names a client as the other side', async () => {
    const server = serverEnd();
    clientEnd().close(closed());
    await settle();
    expect(server.end?.message).toBe('app:50000: the client closed the connection');
  });

  it('comes with a message that is over the limit', async () => {
    const lost: CopilotError[] = [];
    serverEnd({ maxFrameBytes: 100, onLost: (error) => lost.push(error) });
    clientWire.write(encodeFrame(' '.repeat(101)));
    await settle();
    expect(lost).toMatchObject([expect.any(ProtocolError)]);
  });
});
