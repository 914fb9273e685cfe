// A connection of a guard, frame by frame: both ends are in the test's hands.
import { describe, expect, it } from '@jest/globals';
import { encodeFrame } from '../../../src/copilot/index.ts';
import type { Line, LineEvents } from '../../../src/guard/line.ts';
import { Pair } from '../../../src/guard/pair.ts';
import { Sessions } from '../../../src/guard/sessions.ts';
import { Stamps } from '../../../src/guard/stamps.ts';
import type { GrantIntent, SessionGrant } from '../../../src/resources/session-grant.ts';
import { MemoryFences, MemoryFiles } from '../../support/guard-world.ts';

/** What the guard does with one end. */
class FakeLine implements Line {
  events: LineEvents | undefined;
  sent = '';
  isSlow = false;
  readonly done: string[] = [];

  write(bytes: Buffer): boolean {
    this.sent += bytes.toString();
    return !this.isSlow;
  }
  pause(): void {
    this.done.push('pause');
  }
  resume(): void {
    this.done.push('resume');
  }
  end(): void {
    this.done.push('end');
  }
  finish(): void {
    this.done.push('finish');
  }
  destroy(): void {
    if (this.done.includes('destroy')) return;
    this.done.push('destroy');
    this.events?.closed();
  }
  /** What was sent since the last time. */
  take(): string {
    const { sent } = this;
    this.sent = '';
    return sent;
  }
}

const frame = (message: object): string => encodeFrame(JSON.stringify({ jsonrpc: '2.0', ...message }));
const request = (id: number, method: string, params: object = {}): string => frame({ id, method, params });
const about = (id: number, method: string): string => request(id, method, { sessionId: 'a' });
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Bench {
  readonly client = new FakeLine();
  readonly server = new FakeLine();
  readonly seen: string[] = [];
  /** Bytes of frames that have not arrived in full, after each chunk. */
  readonly partial: number[] = [];
  readonly pair: Pair;

  constructor(sessions: Sessions, isThere = true) {
    const observe = (line: FakeLine) => (events: LineEvents) => {
      line.events = events;
      return line;
    };
    this.pair = new Pair({
      client: observe(this.client),
      dial: observe(this.server),
      sessions,
      readGrant: (text) => JSON.parse(String(text)) as SessionGrant,
      observer: {
        unreachable: () => this.seen.push('unreachable'),
        refused: (method, { rule }) => this.seen.push(`${method} ${rule}`),
        broken: (side, message) => this.seen.push(`${side}: ${message}`),
        heard: (bytes) => this.partial.push(bytes),
        ended: () => this.seen.push('ended'),
      },
    });
    if (isThere) this.server.events?.connected();
    this.client.done.splice(0);
  }

  says(...frames: readonly string[]): void {
    this.client.events?.data(Buffer.from(frames.join('')));
  }

  answers(...frames: readonly string[]): void {
    this.server.events?.data(Buffer.from(frames.join('')));
  }

  async granted(epoch: number, intent: GrantIntent = 'load'): Promise<string> {
    this.says(granting(900 + epoch, epoch, intent));
    await settled();
    return this.client.take();
  }
}

function granting(id: number, epoch: number, intent: GrantIntent, session = 'a'): string {
  const grant: SessionGrant = { tenant: 't/t', server: 't/s', pod: 'p', session, epoch, intent, issuedAt: '' };
  return request(id, 'guard.grant', { grant: JSON.stringify(grant) });
}

function newSessions(files = new MemoryFiles()): Sessions {
  const self = { tenant: 't/t', server: 't/s', pod: 'p' };
  const failed = (error: unknown): void => {
    throw error;
  };
  return new Sessions({ self, fences: new MemoryFences(), stamps: new Stamps(files, self), failed });
}

describe('a connection of a guard', () => {
  it('passes what concerns no session, byte for byte, in one write for many frames', () => {
    const { server, client, ...bench } = new Bench(newSessions());
    const frames = [
      request(1, 'connect', { token: 'x' }),
      frame({ id: 9, result: {} }),
      about(2, 'sessions.getMetadata'),
    ];
    client.events?.data(Buffer.from(frames.join('')));
    expect(server.take()).toBe(frames.join(''));
    const answer = 'content-length: 27\r\nX: y\r\n\r\n{"jsonrpc":"2.0",  "id": 1}';
    server.events?.data(Buffer.from(`${frame({ id: 1, result: { ok: true } })}${answer}`));
    expect(client.take()).toContain('{"jsonrpc":"2.0",  "id": 1}');
    expect(bench.seen).toEqual([]);
  });

  it('passes a large frame of the server in parts, and puts its own behind it', () => {
    const bench = new Bench(newSessions());
    const large = frame({ id: 1, result: 'x'.repeat(200_000) });
    bench.answers(large.slice(0, 100_000));
    expect(bench.client.sent.length).toBeGreaterThan(90_000);
    bench.says(about(2, 'session.send'));
    bench.answers(large.slice(100_000));
    expect(bench.client.sent.startsWith(large)).toBe(true);
    expect(bench.client.sent.slice(large.length)).toContain('"rule":"NoGrant"');
  });

  it('takes a grant and the call that it is for in one write', async () => {
    const bench = new Bench(newSessions());
    bench.says(granting(1, 4, 'load'), about(2, 'session.resume'), about(3, 'session.send'));
    await settled();
    expect(bench.client.take()).toBe(frame({ id: 1, result: { epoch: 4 } }));
    expect(bench.server.take()).toBe(about(2, 'session.resume') + about(3, 'session.send'));
  });

  it('passes a close only when the load before it was answered, and stamps it before its answer', async () => {
    const files = new MemoryFiles();
    const bench = new Bench(newSessions(files));
    await bench.granted(4);
    bench.says(about(1, 'session.resume'));
    await bench.granted(5, 'close');
    bench.says(about(2, 'sessions.close'), about(3, 'session.send'));
    expect(bench.server.take()).toBe(about(1, 'session.resume'));
    expect(bench.client.take()).toContain('"rule":"NoGrant"');
    bench.answers(frame({ method: 'session.event', params: { sessionId: 'a' } }), frame({ id: 1, result: {} }));
    await settled();
    expect(bench.server.take()).toBe(about(2, 'sessions.close'));
    bench.client.take();
    const stamps = new Stamps(files, { server: 't/s', pod: 'p' });
    expect(await stamps.read('a')).toMatchObject([{ epoch: 4, closedUnder: undefined }]);
    bench.answers(frame({ id: 2, result: {} }));
    expect(bench.client.take()).toBe('');
    await settled();
    expect(bench.client.take()).toBe(frame({ id: 2, result: {} }));
    expect(await stamps.read('a')).toMatchObject([{ epoch: 4, closedUnder: 5 }]);
  });

  it('stamps nothing for a close that failed, or under the grant of a load', async () => {
    const files = new MemoryFiles();
    const bench = new Bench(newSessions(files));
    await bench.granted(4);
    bench.says(about(1, 'sessions.close'));
    bench.answers(frame({ id: 1, result: {} }));
    await bench.granted(5, 'close');
    bench.says(about(2, 'sessions.close'));
    bench.answers(frame({ id: 2, error: { code: -32_603, message: 'no' } }));
    await settled();
    expect(await new Stamps(files, { server: 't/s', pod: 'p' }).read('a')).toMatchObject([{ closedUnder: undefined }]);
  });

  it('refuses a late connection at once, and lets nobody take its place unasked', async () => {
    const sessions = newSessions();
    const [late, next] = [new Bench(sessions), new Bench(sessions)];
    await late.granted(4);
    await next.granted(5);
    late.says(about(1, 'session.send'));
    next.says(about(1, 'session.send'));
    expect(late.server.take()).toBe('');
    expect(late.client.take()).toContain('"data":{"rule":"StaleEpoch","epoch":5}');
    expect(next.server.take()).toBe(about(1, 'session.send'));
  });

  it('takes no epoch for a deletion that another has loaded the session under, nor the other way round', async () => {
    const sessions = newSessions();
    const [gateway, operator] = [new Bench(sessions), new Bench(sessions)];
    await gateway.granted(4);
    expect(await operator.granted(4, 'delete')).toContain('"rule":"StaleEpoch","epoch":4');
    expect(await gateway.granted(4, 'delete')).toContain('"result"');
    expect(await gateway.granted(4)).toContain('"result"');
    expect(await operator.granted(5, 'delete')).toContain('"result"');
    expect(await gateway.granted(5)).toContain('"rule":"StaleEpoch","epoch":5');
  });

  it('keeps the connection to the server of a client that has left until its load has ended', async () => {
    const sessions = newSessions();
    const [left, next] = [new Bench(sessions), new Bench(sessions)];
    await left.granted(4);
    left.says(about(1, 'session.resume'));
    left.client.destroy();
    expect(left.server.done).not.toContain('destroy');
    await next.granted(5, 'close');
    next.says(about(2, 'sessions.close'));
    expect(next.server.take()).toBe('');
    left.answers(frame({ id: 1, result: {} }));
    await settled();
    expect(left.server.done).toContain('destroy');
    expect(next.server.take()).toBe(about(2, 'sessions.close'));
  });

  it('goes on when the server is lost with a load', async () => {
    const sessions = newSessions();
    const [left, next] = [new Bench(sessions), new Bench(sessions)];
    await left.granted(4);
    left.says(about(1, 'session.resume'));
    left.server.destroy();
    expect(left.client.done).toContain('finish');
    await next.granted(5, 'close');
    next.says(about(2, 'sessions.close'));
    expect(next.server.take()).toBe(about(2, 'sessions.close'));
  });

  it('goes on when the server ends its side with a load under way, and with another that waits', async () => {
    const sessions = newSessions();
    const [left, next] = [new Bench(sessions), new Bench(sessions)];
    await left.granted(4);
    left.says(about(1, 'session.resume'), about(2, 'session.resume'));
    left.server.take();
    left.server.events?.ended();
    expect(left.client.done).toContain('end');
    await next.granted(5, 'close');
    next.says(about(2, 'sessions.close'));
    expect([left.server.take(), next.server.take()]).toEqual(['', about(2, 'sessions.close')]);
    left.client.events?.ended();
    left.client.destroy();
    expect(left.server.done).toContain('destroy');
    expect(left.seen).toEqual(['ended']);
  });

  it('begins no call of a client that has left while it waited', async () => {
    const sessions = newSessions();
    const [first, left] = [new Bench(sessions), new Bench(sessions)];
    await first.granted(4);
    await left.granted(4);
    first.says(about(1, 'session.resume'));
    left.says(about(1, 'session.resume'));
    left.client.destroy();
    first.answers(frame({ id: 1, result: {} }));
    await settled();
    expect(left.server.take()).toBe('');
    first.says(about(2, 'session.resume'));
    expect(first.server.take()).toContain('"id":2');
  });

  it('passes the end of a client on behind its last call', async () => {
    const bench = new Bench(newSessions());
    await bench.granted(4);
    bench.says(about(1, 'session.resume'));
    bench.client.events?.ended();
    expect(bench.server.done).not.toContain('end');
    bench.answers(frame({ id: 1, result: {} }));
    await settled();
    expect(bench.server.done).toContain('end');
    bench.server.events?.ended();
    expect(bench.client.done).toContain('end');
  });

  it('has each side wait for the other that is slow', () => {
    const bench = new Bench(newSessions());
    bench.server.isSlow = true;
    bench.says(request(1, 'ping'));
    expect(bench.client.done).toEqual(['pause']);
    bench.server.events?.drained();
    expect(bench.client.done).toEqual(['pause', 'resume']);
    bench.client.isSlow = true;
    bench.server.done.splice(0);
    bench.answers(frame({ id: 1, result: {} }));
    expect(bench.server.done).toEqual(['pause']);
    bench.client.events?.drained();
    expect(bench.server.done).toEqual(['pause', 'resume']);
  });

  it('does not listen to a client that reads no answers of the guard, until it does', async () => {
    const bench = new Bench(newSessions());
    bench.client.isSlow = true;
    bench.says(about(1, 'session.send'));
    expect([bench.client.done, bench.server.done]).toEqual([['pause'], ['pause']]);
    // What frees the way to the server is not what it waits for.
    bench.server.events?.drained();
    expect(bench.client.done).toEqual(['pause']);
    bench.client.isSlow = false;
    bench.client.events?.drained();
    expect([bench.client.done, bench.server.done]).toEqual([
      ['pause', 'resume'],
      ['pause', 'resume'],
    ]);
    bench.says(about(2, 'session.send'));
    expect(bench.client.done).toEqual(['pause', 'resume']);
  });

  it('does not listen while its own answers wait for the end of a large frame', () => {
    const bench = new Bench(newSessions());
    const large = frame({ id: 1, result: 'x'.repeat(200_000) });
    bench.answers(large.slice(0, 100_000));
    bench.says(about(2, 'session.send'));
    expect(bench.client.done).toEqual(['pause']);
    bench.answers(large.slice(100_000));
    expect(bench.client.done).toEqual(['pause', 'resume']);
  });

  it('tells how much it keeps of a frame that has not arrived in full', () => {
    const bench = new Bench(newSessions());
    const text = request(1, 'ping', { long: 'x'.repeat(1_000) });
    bench.says(text.slice(0, 500));
    expect(bench.partial.at(-1)).toBeGreaterThanOrEqual(400);
    bench.says(text.slice(500));
    expect(bench.partial.at(-1)).toBe(0);
  });

  it('tells whoever has a grant what the volume has of its session, and takes nothing for that', async () => {
    const sessions = newSessions();
    const [holder, asks] = [new Bench(sessions), new Bench(sessions)];
    await holder.granted(4);
    const asking = granting(7, 9, 'load').replace('guard.grant', 'guard.epochs');
    asks.says(encodeFrame(asking.slice(asking.indexOf('{'))));
    await settled();
    const stamps = [{ server: 't/s', pod: 'p', epoch: 4 }];
    expect(asks.client.take()).toBe(frame({ id: 7, result: { stamps } }));
    expect([asks.pair.held.size, asks.pair.isGranted, sessions.fenceOf('a')?.epoch]).toEqual([0, true, 4]);
    asks.says(request(8, 'guard.epochs', { grant: 7 }));
    await settled();
    expect(asks.client.take()).toContain('"rule":"BadGrant"');
  });

  it('forgets a grant that has ended with a close or a deletion', async () => {
    const bench = new Bench(newSessions());
    for (const [epoch, intent, method] of [
      [5, 'close', 'sessions.close'],
      [6, 'delete', 'session.delete'],
    ] as const) {
      await bench.granted(epoch, intent);
      bench.says(about(epoch, method));
      expect(bench.pair.held.size).toBe(1);
      bench.answers(frame({ id: epoch, result: { success: true } }));
      await settled();
      expect(bench.pair.held.size).toBe(0);
    }
  });

  it('keeps nothing for a server that is not there', () => {
    const bench = new Bench(newSessions(), false);
    bench.server.destroy();
    expect(bench.client.done).toContain('finish');
    expect(bench.seen).toEqual(['unreachable']);
    bench.client.destroy();
    expect(bench.seen).toEqual(['unreachable', 'ended']);
  });

  it.each<[string, string, string]>([
    [
      'a frame with two meanings',
      encodeFrame('{"id":1,"method":"ping","method":"session.resume"}'),
      '"rule":"Malformed"',
    ],
    ['a load that is no request', frame({ method: 'session.resume', params: { sessionId: 'a' } }), ''],
    ['a session without an id', request(1, 'session.create'), '"rule":"NotAllowed"'],
    ['a deletion of many', request(1, 'sessions.bulkDelete', { sessionIds: ['a'] }), '"rule":"NotAllowed"'],
    ['a grant that is none', request(1, 'guard.grant', { grant: 7 }), '"rule":"BadGrant"'],
  ])('refuses %s', async (_what, text, answer) => {
    const bench = new Bench(newSessions());
    bench.says(text);
    await settled();
    expect(bench.server.take()).toBe('');
    expect(bench.client.take()).toContain(answer);
    expect(bench.seen).toHaveLength(1);
  });

  it('asks whether the server can write in words of its own', () => {
    const bench = new Bench(newSessions());
    const ids = { sessionIds: ['copilot-operator-write-check'] };
    bench.says(request(1, 'sessions.bulkDelete', { ...ids, more: true }));
    expect(bench.server.take()).toBe(request(1, 'sessions.bulkDelete', ids));
  });

  it('refuses a second request of an id that is under way, and frees its session', async () => {
    const bench = new Bench(newSessions());
    await bench.granted(4);
    bench.says(granting(9, 4, 'load', 'b'));
    await settled();
    bench.says(about(1, 'session.resume'));
    bench.server.take();
    bench.client.take();
    bench.says(request(1, 'session.resume', { sessionId: 'b' }));
    expect(bench.server.take()).toBe('');
    expect(bench.client.take()).toContain('"rule":"Malformed"');
    const next = request(2, 'session.resume', { sessionId: 'b' });
    bench.says(next);
    expect(bench.server.take()).toBe(next);
  });

  it.each<['client' | 'server', string]>([
    ['client', 'GET / HTTP/1.1\r\n\r\n'],
    ['client', 'Content-Length: 99999999999\r\n\r\n'],
    ['server', 'SSH-2.0-x\r\n'],
  ])('closes both sides when the %s says %j', (side, text) => {
    const bench = new Bench(newSessions());
    bench[side].events?.data(Buffer.from(text));
    expect(bench.seen[0]).toContain(`${side}: expected a frame`);
    expect(bench.client.done).toContain('destroy');
    expect(bench.server.done).toContain('destroy');
  });
});
