import { beforeEach, describe, expect, it } from '@jest/globals';
import { whenTooFast } from '../../../../src/gateway/client/handshake.ts';
import { Rates } from '../../../../src/gateway/client/rates.ts';
import type { Identity, TenantRates } from '../../../../src/gateway/model.ts';

let now: number;
let stated: TenantRates | undefined;
let rates: Rates;

beforeEach(() => {
  now = 0;
  stated = undefined;
  rates = new Rates({ clock: { monotonic: () => now }, ratesOf: ({ name }) => (name === 'acme' ? stated : undefined) });
});

const of = (user?: string, name = 'acme'): Identity => ({
  tenant: { namespace: 'team', name },
  user,
  credential: 'Binding',
  expiresAt: undefined,
});
/** How many frames of one byte are taken before one is refused. */
function frames(user?: string, most = 1000): number {
  for (let count = 0; count < most; count += 1) if (rates.received(of(user), 1) !== undefined) return count;
  return most;
}

describe('the rates of a tenant', () => {
  it('allow anything where none is stated', () => {
    expect(frames()).toBe(1000);
    expect(rates.connected(of())).toBeUndefined();
  });

  it('allow what comes in ten seconds at once, and then so much a second', () => {
    stated = { tenant: { framesPerSecond: 2 } };
    expect(frames()).toBe(20);
    now += 1000;
    expect(frames()).toBe(2);
    now += 3_600_000;
    expect(frames()).toBe(20);
  });

  it('say whose and which it was, the field, and when to try again', () => {
    stated = { tenant: { framesPerSecond: 2 }, user: { bytesPerSecond: 1000 } };
    rates.received(of('alice'), 10_000);
    expect(rates.received(of('alice'), 1000)).toEqual({
      reason: 'UserBytes',
      message: expect.stringContaining('the 1000 bytes a second that spec.rates.user.bytesPerSecond allows'),
      field: 'spec.rates.user.bytesPerSecond',
      limit: 1000,
      retryAfterMs: 1000,
    });
    now += 999;
    expect(rates.received(of('alice'), 1000)?.retryAfterMs).toBe(1);
    now += 1;
    expect(rates.received(of('alice'), 1000)).toBeUndefined();
  });

  it('are those of all its users together, and of no other tenant', () => {
    stated = { tenant: { framesPerSecond: 1 } };
    expect([frames('alice', 6), frames('bob')]).toEqual([6, 4]);
    expect(rates.received(of('bob', 'other'), 1)).toBeUndefined();
  });

  it('of a user do not touch others; clients that state none are one', () => {
    stated = { user: { framesPerSecond: 1 } };
    expect([frames('alice'), frames('bob'), frames(), frames()]).toEqual([10, 10, 10, 0]);
  });

  it('take nothing from one limit for what another one refuses', () => {
    stated = { tenant: { framesPerSecond: 2 }, user: { framesPerSecond: 1 } };
    expect(frames('alice')).toBe(10);
    for (let tries = 0; tries < 100; tries += 1) rates.received(of('alice'), 1);
    expect(frames('bob')).toBe(10);
  });

  it('allow a message that is larger than all that may come at once, and then nothing for as long', () => {
    stated = { tenant: { bytesPerSecond: 1000 } };
    expect(rates.received(of(), 50_000)).toBeUndefined();
    expect(rates.received(of(), 1)?.retryAfterMs).toBe(40_001);
  });

  it('count what must not be refused', () => {
    stated = { tenant: { framesPerSecond: 1 } };
    expect(frames()).toBe(10);
    rates.overdrawn(of(), 1);
    now += 1000;
    expect(rates.received(of(), 1)?.retryAfterMs).toBe(1000);
  });

  it('are not exceeded for longer than it takes to fill them twice, whatever came that must not be refused', () => {
    stated = { tenant: { framesPerSecond: 1, bytesPerSecond: 1000 } };
    for (let count = 0; count < 10_000; count += 1) rates.overdrawn(of(), 10_000);
    expect(rates.received(of('bob'), 1)?.retryAfterMs).toBe(11_000);
    now += 11_000;
    expect(rates.received(of('bob'), 1)).toBeUndefined();
  });

  it('of a message that was larger than all that may come are not given back by what follows', () => {
    stated = { tenant: { bytesPerSecond: 1000 } };
    rates.received(of(), 50_000);
    rates.overdrawn(of(), 1);
    expect(rates.received(of(), 1)?.retryAfterMs).toBe(40_001);
  });

  it('of the tenant are not touched by what is of no use to anybody, those of its user are', () => {
    stated = { tenant: { framesPerSecond: 2 }, user: { framesPerSecond: 1 } };
    for (let count = 0; count < 100; count += 1) rates.overdrawn(of('alice'), 1, 'User');
    expect(rates.received(of('alice'), 1)).toMatchObject({ reason: 'UserFrames', retryAfterMs: 11_000 });
    expect(frames('bob')).toBe(10);
  });

  it('limit new connections in a minute', () => {
    stated = { user: { connectionsPerMinute: 2 } };
    expect([1, 2].map(() => rates.connected(of('alice')))).toEqual([undefined, undefined]);
    expect(rates.connected(of('alice'))).toMatchObject({ reason: 'UserConnections', retryAfterMs: 30_000 });
    expect(rates.connected(of('bob'))).toBeUndefined();
  });

  it('count anew when they were taken away and stated again', () => {
    stated = { tenant: { framesPerSecond: 1 } };
    frames();
    stated = undefined;
    rates.changed(of().tenant);
    stated = { tenant: { framesPerSecond: 1 } };
    expect(frames()).toBe(10);
  });

  it('are not asked for when a tenant changes of which nothing is kept', () => {
    const asked: string[] = [];
    const watched = new Rates({
      clock: { monotonic: () => now },
      ratesOf: ({ name }) => {
        asked.push(name);
        return undefined;
      },
    });
    watched.changed(of().tenant);
    expect(asked).toEqual([]);
  });

  it('apply at once when they are changed', () => {
    stated = { tenant: { framesPerSecond: 1 } };
    frames();
    stated = { tenant: { framesPerSecond: 100 } };
    now += 1000;
    expect(frames()).toBe(100);
  });
});

describe('users of a tenant', () => {
  /** How often the limit was looked at for each of so many users, who come within the minute that it counts. */
  function looksFor(users: number, name: string): number {
    let looks = 0;
    const user = {
      get connectionsPerMinute(): number {
        looks += 1;
        return 1;
      },
    };
    stated = { user };
    for (let index = 0; index < users; index += 1) rates.connected(of(`${name}-${index}`));
    return looks / users;
  }

  it('cost no more the more there are, now or before: their application may state any number of them', () => {
    for (const name of ['first', 'second', 'third', 'fourth']) {
      expect(looksFor(10_000, name)).toBeLessThan(8);
      now += 60_000;
    }
  });
});

describe('a frame that comes too fast', () => {
  const call = (method: string) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 7, method, params: {} }));
  it.each([
    'session.send',
    'session.create',
    'session.list',
    'session.abortAll',
    'x.session.abort',
    'x.handlePendingFlood',
    'session.handlePending',
  ])('is refused on its id: %s', (method) => {
    expect(whenTooFast(call(method))).toEqual({ refused: 7 });
  });

  it.each([
    'ping',
    'session.abort',
    'session.detach',
    'session.destroy',
    'session.delete',
    'sessions.close',
    'session.tools.handlePendingToolCall',
    'session.permissions.handlePendingPermissionRequest',
    'session.commands.respondToQueuedCommand',
    'session.mcp.oauth.respond',
    'session.interruptMainTurn',
    'session.cancelAllBackgroundAgents',
    'session.tasks.cancel',
    'session.workflow.cancel',
    'session.shell.kill',
    'session.queue.clear',
  ])('is never refused, because somebody waits for it or it makes room: %s', (method) => {
    expect(whenTooFast(call(method))).toBe('Taken');
  });

  it.each([
    ['an answer', { id: 1, result: {} }, 'Taken'],
    ['a notification', { method: 'session.send' }, 'Ignored'],
  ])('is not refused if it is %s, which has no answer', (_, frame, found) => {
    expect(whenTooFast(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...frame })))).toBe(found);
  });

  it('is left to who parses it if it is none', () => {
    expect(whenTooFast(Buffer.from('{'))).toBe('Taken');
  });
});
