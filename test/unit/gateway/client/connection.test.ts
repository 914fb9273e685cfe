import { beforeEach, describe, expect, it } from '@jest/globals';
import { duplexPair } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { encodeFrame } from '../../../../src/copilot/index.ts';
import type { Admission, Decision, DenyReason, Grant } from '../../../../src/gateway/admission/admission.ts';
import { ClientConnection } from '../../../../src/gateway/client/connection.ts';
import { FrameMemory } from '../../../../src/gateway/client/frame-memory.ts';
import { Rates } from '../../../../src/gateway/client/rates.ts';
import { UnreadMemory } from '../../../../src/gateway/client/unread-memory.ts';
import { CLIENT_LIMITS, type ClientLimits } from '../../../../src/gateway/client/model.ts';
import type { ClientLink, CloseReason, Identity, Relay } from '../../../../src/gateway/model.ts';
import { BAD_HEADERS } from '../../../support/bad-headers.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { RawClient } from '../../../support/raw-client.ts';

const tenant = { namespace: 'team', name: 'acme' };
const GOOD = 'good';
const SLOW = 'slow';

let clock: FakeClock;
let frames: string[];
let framesCounted: number;
let ends: CloseReason[];
let closed: CloseReason[];
let denied: DenyReason[];
let memory: FrameMemory;
let link: ClientLink | undefined;
/** What a recheck says from now on; undefined: the same as before. */
let verdict: Decision | undefined;
let decideSlow: (decision: Decision) => void;
/** After how many frames the relay pauses the client. */
let pausesAt: number | undefined;
/** Whether the relay has something of the client under way. */
let isBusy: boolean;
/** Why the tenant can have no further client. */
let full: CloseReason | undefined;
let identityOf: (token: unknown) => Partial<Identity>;

beforeEach(() => {
  clock = new FakeClock();
  memory = new FrameMemory({ total: 100_000, perTenant: 50_000, free: 1_000 });
  [frames, ends, closed, denied] = [[], [], [], []];
  framesCounted = 0;
  link = undefined;
  verdict = undefined;
  pausesAt = undefined;
  full = undefined;
  isBusy = false;
  identityOf = () => ({});
});

function grant(token: unknown): Grant {
  const identity: Identity = {
    tenant,
    user: undefined,
    credential: 'Kubernetes',
    expiresAt: undefined,
    ...identityOf(token),
  };
  const self: Grant = { identity, recheck: () => verdict ?? self };
  return self;
}

const admission: Admission = {
  decide: (token) => {
    if (token === SLOW) return new Promise((resolve) => (decideSlow = resolve));
    if (typeof token === 'string' && token.startsWith(GOOD)) return grant(token);
    return { denied: token === 'away' ? 'Unavailable' : 'WrongCredential', message: 'wrong' };
  },
};

const relay: Relay = {
  sessions: () => [],
  wakes: () => [],
  uses: () => ({ upMs: 0, idle: [], heldTurns: [], places: [] }),
  servers: () => [],
  drains: () => [],
  attach: (client) => {
    link = client;
    return {
      frame: (body) => {
        frames.push(body.toString());
        if (frames.length === pausesAt) client.pause();
      },
      drained: () => undefined,
      get isBusy() {
        return isBusy;
      },
      work: { calls: 2, sessions: 1 },
      closed: (reason) => void ends.push(reason),
    };
  },
};

interface Pair {
  readonly client: RawClient;
  readonly connection: ClientConnection;
}

function open(limits: Partial<ClientLimits> = {}): Pair {
  const [here, there] = duplexPair();
  const connection = new ClientConnection({
    id: 1,
    address: '10.0.0.9:40000',
    stream: here,
    admission,
    relay,
    clock,
    timers: clock,
    limits: { ...CLIENT_LIMITS, ...limits },
    noRoom: () => full,
    memory,
    rates: new Rates({ clock, ratesOf: () => undefined }),
    unread: new UnreadMemory({ total: 128 * 1024 * 1024, free: 0 }),
    observer: {
      admitted: () => undefined,
      denied: (_, denial) => void denied.push(denial.denied),
      closed: (_, reason) => void closed.push(reason),
      received: () => undefined,
      receivedFrame: () => void (framesCounted += 1),
      sent: () => undefined,
      oversize: () => undefined,
      rateExceeded: () => undefined,
    },
  });
  return { client: new RawClient(there), connection };
}

/** Lets the streams, which are in memory, carry what was written; timers of the test's clock do not pass. */
async function carry(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
}

async function admitted(limits?: Partial<ClientLimits>): Promise<Pair> {
  const pair = open(limits);
  pair.client.connect(GOOD);
  await carry();
  expect(pair.connection.state).toBe('Relaying');
  return pair;
}

describe('before it is admitted', () => {
  it('a client is told to authenticate, whatever it asks for but connect and ping', async () => {
    const { client } = open();
    client.send({ id: 1, method: 'session.list', params: {} });
    client.send({ id: '1', method: 'no.such' });
    client.send({ method: 'session.send', params: {} });
    client.send({ id: 3, result: {} });
    client.send({ id: 2, method: 'ping', params: { message: 'hi' } });
    await carry();
    const required = { code: -32001, message: 'AUTHENTICATION_REQUIRED' };
    expect(client.received).toEqual([
      { jsonrpc: '2.0', id: 1, error: required },
      { jsonrpc: '2.0', id: '1', error: required },
      { jsonrpc: '2.0', id: 2, result: { message: 'pong: hi', timestamp: expect.any(String), protocolVersion: 3 } },
    ]);
    expect(frames).toEqual([]);
  });

  it.each([
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600],
    ['no JSON', '{x', -32700],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
    ['an id of 1 MB cut to the bound', `{"jsonrpc":"2.0","id":"${'x'.repeat(50_000)}","method":"ping"}`, -32600],
    ['JSON of depth 10,000', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, -32600],
    ['a member __proto__', '{"jsonrpc":"2.0","id":1,"__proto__":{"method":"ping"}}', -32600],
  ])('is told when it sends %s, and goes on', async (_, body, code) => {
    const { client } = open();
    client.send(body);
    client.connect(GOOD, 2);
    await carry();
    expect(client.received[0]).toMatchObject({ id: null, error: { code } });
    expect(client.received[1]).toMatchObject({ id: 2, result: { ok: true } });
  });

  it('is closed with an error when its framing is lost', async () => {
    const { client } = open();
    client.stream.write('GET /my-secret HTTP/1.1\r\nHost: x\r\n\r\n');
    await carry();
    const message = expect.stringContaining('/my-secret');
    expect(client.received).toMatchObject([{ id: null, error: { code: -32700, message } }]);
    expect(client.isClosed).toBe(true);
    // Its own words are for itself, and not for the log.
    const fault = 'expected a frame of the Copilot CLI server, found "..."';
    expect(closed).toEqual([{ reason: 'FramingFault', message: fault }]);
  });

  it('is closed after 5 s, whether it says nothing or too little', async () => {
    const { client, connection } = open();
    client.stream.write('Content-Length: 10\r\n');
    await carry();
    await clock.advance(5_001);
    await carry();
    expect(connection.state).toBe('Closed');
    expect(closed).toMatchObject([{ reason: 'GreetingTimeout' }]);
  });

  it('is closed when it sends more than 64 KiB, in one frame or in many', async () => {
    const one = open();
    one.client.stream.write(`Content-Length: 65537\r\n\r\n`);
    const many = open();
    for (let sent = 0; sent < 70; sent += 1)
      many.client.send({ id: sent, method: 'x', params: { p: 'x'.repeat(1_000) } });
    await carry();
    expect(closed.map(({ reason }) => reason).toSorted()).toEqual(['FramingFault', 'GreetingTooLarge']);
  });
});

describe('a stranger that does not read its answers', () => {
  it('is closed before they take memory, and nothing of it is answered any more', async () => {
    const { client, connection } = open();
    client.stream.pause();
    // The shortest frame there is: its answer is six times as long.
    client.stream.write('Content-Length: 0\r\n\r\n'.repeat(3_000));
    await carry();
    expect([connection.state, client.received]).toEqual(['Closed', []]);
    expect(connection.queuedBytes).toBeLessThan(17 * 1024);
    await clock.advance(1_000);
    await carry();
    expect(closed).toMatchObject([{ reason: 'QueueFull' }]);
  });

  it('and one that reads them gets each', async () => {
    const { client } = open();
    for (let burst = 0; burst < 20; burst += 1) {
      client.stream.write('Content-Length: 0\r\n\r\n'.repeat(50));
      await carry();
    }
    client.connect(GOOD);
    await carry();
    expect(client.received).toHaveLength(1_001);
    expect(client.received.at(-1)).toMatchObject({ id: 1, result: { ok: true } });
  });
});

describe('connect', () => {
  it('is answered as the server answers it, and what the client sends then goes to the relay', async () => {
    const { client } = open();
    client.connect(GOOD, 'a', { supportedTaskKinds: ['agent', 'client', 'shell'] });
    client.send({ id: 2, method: 'session.list', params: {} });
    await carry();
    const result = { ok: true, protocolVersion: 3, version: '1.0.102', taskKinds: ['agent', 'shell', 'client'] };
    expect(client.received).toEqual([{ jsonrpc: '2.0', id: 'a', result }]);
    expect(frames).toEqual(['{"jsonrpc":"2.0","id":2,"method":"session.list","params":{}}']);
  });

  it('may come in slices of one byte', async () => {
    const { client } = open();
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'connect', params: { token: GOOD } });
    for (const byte of `Content-Length: ${body.length}\r\n\r\n${body}`) client.stream.write(byte);
    await carry();
    expect(client.received).toMatchObject([{ id: 1, result: { ok: true } }]);
  });

  it('with a wrong token is refused late, and after five of them the connection ends', async () => {
    const { client } = open();
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      client.connect('wrong', attempt);
      await carry();
      expect(client.received).toHaveLength(attempt - 1);
      await clock.advance(300);
      await carry();
      expect(client.received.at(-1)).toEqual({
        jsonrpc: '2.0',
        id: attempt,
        error: { code: -32002, message: 'AUTHENTICATION_FAILED' },
      });
    }
    expect(closed).toMatchObject([{ reason: 'TooManyAttempts' }]);
    expect(denied).toHaveLength(5);
  });

  it('may succeed after a wrong token', async () => {
    const { client } = open();
    client.connect('wrong', 1);
    client.connect(GOOD, 2);
    await carry();
    await clock.advance(300);
    await carry();
    expect(client.received).toMatchObject([
      { id: 1, error: { code: -32002 } },
      { id: 2, result: { ok: true } },
    ]);
  });

  it('tells who it is from outside, with what its application says that it is, and without its token', async () => {
    const { client, connection } = open();
    const stranger = {
      id: 1,
      address: '10.0.0.9:40000',
      identity: undefined,
      state: 'Greeting',
      application: undefined,
    };
    const since = clock.now();
    expect(connection.summary).toMatchObject({
      ...stranger,
      since,
      calls: 0,
      sessions: 0,
      receivedBytes: 0,
      sentBytes: 0,
    });
    await clock.advance(1_000);
    const clientInfo = { editorName: 'portal', editorVersion: '2.4.0' };
    client.connect(`${GOOD} secret`, 1, { clientInfo });
    await carry();
    const { summary } = connection;
    expect(summary).toMatchObject({ state: 'Relaying', since, application: 'portal 2.4.0', calls: 2, sessions: 1 });
    expect(summary.identity).toMatchObject({ tenant, credential: 'Kubernetes' });
    expect(JSON.stringify(summary)).not.toContain('secret');
    client.send({ id: 2, method: 'session.list', params: {} });
    await carry();
    expect(connection.summary.receivedBytes).toBeGreaterThan(summary.receivedBytes);
    expect(connection.summary.sentBytes).toBe(summary.sentBytes);
    link?.send('{}');
    expect(connection.summary.sentBytes).toBe(summary.sentBytes + 'Content-Length: 2\r\n\r\n{}'.length);
  });

  it.each([
    [undefined, undefined],
    ['text', undefined],
    [{}, undefined],
    [{ editorName: 7, editorVersion: '' }, undefined],
    [{ editorName: 'a b\n\u001b[31mé', extensionName: 'x', extensionVersion: '1' }, 'a?b??[31m? x 1'],
    [{ editorName: 'n'.repeat(1_000) }, 'n'.repeat(64)],
  ])('takes %j for what the application is, in plain characters and cut', async (clientInfo, application) => {
    const { client, connection } = open();
    client.connect(GOOD, 1, { clientInfo });
    await carry();
    expect(connection.summary.application).toBe(application);
  });

  it('counts each frame once, also those that wait for a decision', async () => {
    const { client } = open();
    client.connect(SLOW);
    for (let id = 2; id <= 4; id += 1) client.send({ id, method: 'session.list', params: {} });
    await carry();
    decideSlow(grant(SLOW));
    await carry();
    expect(frames).toHaveLength(3);
    expect(framesCounted).toBe(4);
  });

  it('says that it may be tried again when nobody can decide', async () => {
    const { client } = open();
    client.connect('away');
    await carry();
    await clock.advance(300);
    await carry();
    expect(client.received).toMatchObject([{ error: { code: -32050, data: { retryable: true } } }]);
  });

  it('says that it may be tried again when the tenant has too many clients, and the connection ends', async () => {
    full = { reason: 'TenantFull', message: 'tenant team/acme has 2 clients' };
    const { client } = open();
    client.connect(GOOD);
    client.send({ id: 2, method: 'a' });
    await carry();
    expect(client.received).toMatchObject([
      {
        id: 1,
        error: { code: -32050, message: 'tenant team/acme has 2 clients; try again', data: { retryable: true } },
      },
    ]);
    expect([client.isClosed, link, closed]).toEqual([true, undefined, [full]]);
    await clock.advance(2_000);
    expect(clock.pendingTimers).toBe(0);
  });

  it('that takes long holds back what follows, in order, and is answered first', async () => {
    const { client } = open();
    client.connect(SLOW);
    client.send({ id: 2, method: 'a' });
    client.send({ id: 3, method: 'b' });
    await carry();
    expect(client.received).toEqual([]);
    decideSlow(grant(SLOW));
    await carry();
    client.send({ id: 4, method: 'c' });
    await carry();
    expect(client.received).toMatchObject([{ id: 1, result: { ok: true } }]);
    expect(frames.map((frame) => (JSON.parse(frame) as { id: number }).id)).toEqual([2, 3, 4]);
  });

  it('that is decided after the connection has ended admits nobody', async () => {
    const { client } = open();
    client.connect(SLOW);
    await carry();
    await clock.advance(5_001);
    decideSlow(grant(SLOW));
    await carry();
    expect(link).toBeUndefined();
    expect(closed).toMatchObject([{ reason: 'GreetingTimeout' }]);
  });

  it('on a live connection takes a fresh token, and is no end of the old one when it is wrong', async () => {
    const { client, connection } = await admitted();
    client.connect('good-too', 2);
    client.connect('wrong', 3);
    await carry();
    await clock.advance(300);
    await carry();
    expect(client.received).toMatchObject([
      { id: 1 },
      { id: 2, result: { ok: true } },
      { id: 3, error: { code: -32002 } },
    ]);
    expect(connection.state).toBe('Relaying');
    expect(frames).toEqual([]);
  });

  it('on a live connection cannot make somebody else of the client', async () => {
    const { client, connection } = await admitted();
    identityOf = () => ({ user: 'bob' });
    client.connect('good-bob', 2);
    await carry();
    expect(client.received.at(-1)).toMatchObject({ id: 2, error: { code: -32002 } });
    expect(connection.identity.user).toBeUndefined();
  });
});

describe('an admitted client', () => {
  it('has no deadline for its greeting any more', async () => {
    const { connection } = await admitted();
    await clock.advance(20_000);
    expect(connection.state).toBe('Relaying');
  });

  // What is announced to be too large is skipped, when it comes.
  it.each(BAD_HEADERS.filter(([what]) => what !== 'ten gigabytes'))(
    'that sends %s is closed with the reason, and the relay hears of it',
    async (_, stream) => {
      const { client } = await admitted();
      client.send({ id: 9, method: 'before' });
      client.stream.write(stream);
      client.send({ id: 10, method: 'after' });
      await carry();
      expect(client.isClosed).toBe(true);
      expect(closed).toEqual([{ reason: 'FramingFault', message: expect.any(String) }]);
      expect(ends).toEqual(closed);
      expect(frames).toEqual(['{"jsonrpc":"2.0","id":9,"method":"before"}']);
    },
  );

  it('is answered on the id of a frame that is too large, which is skipped', async () => {
    const { client } = await admitted({ frameBytes: 1_000 });
    client.send({ id: 'big', method: 'session.send', params: { prompt: 'x'.repeat(100_000) } });
    client.send(`{"params":"${'x'.repeat(2_000)}","method":"m","id":7,"jsonrpc":"2.0"}`);
    client.send({ method: 'note', params: { text: 'x'.repeat(2_000) } });
    client.send({ id: 9, method: 'next' });
    await carry();
    expect(client.received.slice(1)).toMatchObject([
      { id: 'big', error: { code: -32600, message: expect.stringContaining('larger than the 1000 bytes allowed') } },
      { id: 7, error: { code: -32600 } },
    ]);
    expect(frames).toEqual(['{"jsonrpc":"2.0","id":9,"method":"next"}']);
  });

  it('whose answer is too large has it replaced by an error, so that nobody waits for ever', async () => {
    const { client } = await admitted({ frameBytes: 1_000 });
    client.send({ id: 4, result: { text: 'x'.repeat(2_000) } });
    await carry();
    expect(frames.map((frame) => JSON.parse(frame) as object)).toMatchObject([{ id: 4, error: { code: -32600 } }]);
    expect(client.received).toHaveLength(1);
  });

  it('that stops in the middle of a large frame loses that when another one needs the room, and nothing else', async () => {
    const request = (id: string) =>
      encodeFrame(`{"jsonrpc":"2.0","id":"${id}","method":"m","p":"${'x'.repeat(40_000)}"}`);
    const [stopped, going] = [await admitted(), await admitted()];
    stopped.client.stream.write(request('stopped').slice(0, 30_000));
    await carry();
    expect(memory.total).toBeGreaterThan(30_000);
    going.client.stream.write(request('going').slice(0, 39_000));
    await carry();
    expect(memory.total).toBeLessThanOrEqual(50_000);
    going.client.stream.write(request('going').slice(39_000));
    stopped.client.stream.write(request('stopped').slice(30_000));
    stopped.client.send({ id: 2, method: 'a' });
    await carry();
    expect(frames.map((frame) => (JSON.parse(frame) as { id: unknown }).id)).toEqual(['going', 2]);
    expect(stopped.client.received.slice(1)).toMatchObject([
      {
        id: 'stopped',
        error: { code: -32050, message: expect.stringContaining('no room'), data: { retryable: true } },
      },
    ]);
    expect([memory.total, closed]).toEqual([0, []]);
  });

  it('that ends in the middle of a frame leaves its room to others', async () => {
    const { client } = await admitted();
    client.stream.write(encodeFrame('x'.repeat(40_000)).slice(0, 30_000));
    await carry();
    expect(memory.total).toBeGreaterThan(0);
    client.stream.end();
    await carry();
    expect(memory.total).toBe(0);
  });

  it('gets frames in order, as text or as bytes that change after the call', async () => {
    const { client } = await admitted();
    const reused = Buffer.from('{"id":2}');
    link?.send(reused);
    reused.fill(0x20);
    link?.send('{"id":"ä😀"}');
    await carry();
    expect(client.received.slice(1)).toEqual([{ id: 2 }, { id: 'ä😀' }]);
  });

  it('that never reads is closed before it fills the memory', async () => {
    const { client, connection } = await admitted({ queueBytes: 1_000_000 });
    client.stream.pause();
    const body = Buffer.alloc(100_000, 0x20);
    for (let sent = 0; sent < 50; sent += 1) link?.send(body);
    expect(connection.queuedBytes).toBeLessThan(1_200_000);
    await carry();
    expect(ends).toMatchObject([{ reason: 'QueueFull' }]);
    expect(closed).toMatchObject([{ reason: 'QueueFull' }]);
  });

  it('is not read while the relay pauses it', async () => {
    const { client } = await admitted();
    link?.pause();
    client.send({ id: 2, method: 'a' });
    await carry();
    expect(frames).toEqual([]);
    link?.resume();
    await carry();
    expect(frames).toHaveLength(1);
  });

  it('stays paused if the relay pauses it while the frames arrive that were held', async () => {
    const { client } = open();
    client.connect(SLOW);
    client.send({ id: 2, method: 'a' });
    await carry();
    pausesAt = 1;
    decideSlow(grant(SLOW));
    await carry();
    client.send({ id: 3, method: 'b' });
    await carry();
    expect(frames).toHaveLength(1);
    link?.resume();
    await carry();
    expect(frames).toHaveLength(2);
  });

  it('that leaves is gone for the relay once, and nothing is sent to it any more', async () => {
    const { client } = await admitted();
    client.stream.end();
    await carry();
    link?.send('{}');
    link?.close({ reason: 'SlowClient', message: '' });
    link?.resume();
    await clock.advance(2_000);
    await carry();
    expect(ends).toMatchObject([{ reason: 'ClientClosed' }]);
    expect(closed).toMatchObject([{ reason: 'ClientClosed' }]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes on while the gateway drains, until it is closed', async () => {
    const { client, connection } = await admitted();
    connection.drain();
    client.send({ id: 2, method: 'a' });
    await carry();
    expect([connection.state, frames.length]).toEqual(['Draining', 1]);
    connection.close({ reason: 'Drained', message: '' });
    await carry();
    expect(ends).toMatchObject([{ reason: 'Drained' }]);
    expect(client.isClosed).toBe(true);
  });

  it('that is to leave stays until its turn has ended, and is closed before another one begins', async () => {
    const { client, connection } = await admitted();
    isBusy = true;
    connection.leave({ reason: 'Drained', message: '' });
    client.send({ id: 2, method: 'session.send' });
    await carry();
    await clock.advance(5_000);
    expect(frames).toHaveLength(1);
    isBusy = false;
    link?.send('{"jsonrpc":"2.0","method":"session.event"}');
    await carry();
    // As an application does that chats without a pause.
    client.send({ id: 3, method: 'session.send' });
    await carry();
    expect([client.received.at(-1), client.isClosed]).toEqual([{ jsonrpc: '2.0', method: 'session.event' }, false]);
    await clock.advance(CLIENT_LIMITS.partingMs);
    await carry();
    expect([client.isClosed, frames.length]).toEqual([true, 1]);
    expect(ends).toMatchObject([{ reason: 'Drained' }]);
  });

  it('that is to leave and is closed meanwhile leaves no timer', async () => {
    const { client, connection } = await admitted();
    connection.leave({ reason: 'Drained', message: '' });
    connection.close({ reason: 'Kicked', message: '' });
    client.stream.end();
    await carry();
    expect(ends).toMatchObject([{ reason: 'Kicked' }]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('the credential of an admitted client', () => {
  const revoked: Decision = { denied: 'NotAuthorized', message: 'no longer' };
  const away: Decision = { denied: 'Unavailable', message: 'no answer' };

  it('ends its connection within a minute after it was revoked', async () => {
    await admitted();
    await clock.advance(24_000);
    verdict = revoked;
    await clock.advance(2_000);
    await carry();
    expect(closed).toMatchObject([{ reason: 'CredentialRevoked', message: 'no longer' }]);
  });

  it('ends it when it expires', async () => {
    identityOf = () => ({ expiresAt: clock.now() + 10_000 });
    await admitted();
    verdict = { denied: 'NotAuthenticated', message: 'expired' };
    await clock.advance(9_999);
    await carry();
    expect(closed).toEqual([]);
    await clock.advance(1);
    await carry();
    expect(closed).toMatchObject([{ reason: 'CredentialExpired' }]);
  });

  it('may be renewed before that', async () => {
    identityOf = (token) => ({ expiresAt: token === GOOD ? clock.now() + 10_000 : undefined });
    const { client } = await admitted();
    client.connect('good-too', 2);
    await carry();
    await clock.advance(20_000);
    await carry();
    expect(closed).toEqual([]);
  });

  it('survives a minute at most in which it cannot be reviewed', async () => {
    await admitted();
    verdict = away;
    await clock.advance(30_000);
    await carry();
    expect(closed).toEqual([]);
    await clock.advance(30_000);
    await carry();
    expect(closed).toMatchObject([{ reason: 'Unverified' }]);
  });

  it('is looked at again as soon as its tenant has changed', async () => {
    identityOf = () => ({ credential: 'Binding' });
    const { connection } = await admitted();
    expect(clock.pendingTimers).toBe(0);
    connection.recheck();
    await carry();
    expect(closed).toEqual([]);
    verdict = { denied: 'WrongCredential', message: 'rotated' };
    connection.recheck();
    await carry();
    expect(closed).toMatchObject([{ reason: 'CredentialRevoked' }]);
  });
});

describe('a client whose tenant is gone', () => {
  /** One of which something is under way when the tenant goes. */
  async function dismissed(): Promise<Pair> {
    identityOf = () => ({ credential: 'Binding' });
    const pair = await admitted();
    isBusy = true;
    verdict = { denied: 'UnknownTenant', message: 'gone' };
    pair.connection.recheck();
    pair.connection.recheck();
    await carry();
    return pair;
  }

  it('gets what is under way, also of what is read only now, and then its connection ends', async () => {
    const { client } = await dismissed();
    client.send({ id: 7, method: 'a' });
    await carry();
    await clock.advance(1000);
    link?.send('{"answer":1}');
    await carry();
    expect([frames.length, closed]).toEqual([1, []]);
    isBusy = false;
    await clock.advance(100);
    await carry();
    expect(client.received.at(-1)).toEqual({ answer: 1 });
    expect(closed).toMatchObject([{ reason: 'CredentialRevoked', message: 'gone' }]);
  });

  it('is not waited for longer than two seconds', async () => {
    await dismissed();
    await clock.advance(2100);
    await carry();
    expect([closed.length, clock.pendingTimers]).toEqual([1, 0]);
  });
});
