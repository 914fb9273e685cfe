import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Leg } from '../../../../src/gateway/forward/leg.ts';
import { FORWARD_LIMITS } from '../../../../src/gateway/forward/limits.ts';
import { Stay } from '../../../../src/gateway/forward/stay.ts';
import type { ClientState, DeclaredSession } from '../../../../src/gateway/relay/setup/client-state.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const SESSION: DeclaredSession = {
  sessionId: 's',
  declaration: {},
  calls: [],
  isIncomplete: false,
  hadTurn: true,
  isRunning: false,
  course: { trail: [], prompts: [], offered: [] },
};

let clock: FakeClock;
/** What was done to the client and the home, in this order. */
let done: unknown[];
/** What the home is asked, and has not answered. */
let asked: { id: string; method: string }[];
let state: ClientState;
let stay: Stay;

beforeEach(() => {
  clock = new FakeClock();
  [done, asked, state] = [[], [], { sessions: [], openCalls: [], repeatable: [] }];
  let ids = 0;
  stay = new Stay(
    {
      link: {
        id: 1,
        identity: {
          tenant: { namespace: 'team', name: 'acme' },
          user: undefined,
          credential: 'Binding',
          expiresAt: undefined,
        },
        queuedBytes: 0,
        send: () => void done.push('sent past the guest'),
        sendFrames: (frames, count) => void done.push(['pieces', frames.toString(), count]),
        pause: () => undefined,
        resume: () => undefined,
        close: ({ reason }) => void done.push(['close', reason]),
      },
      clock,
      random: () => 0,
      newId: () => `own-${(ids += 1)}`,
      limits: FORWARD_LIMITS,
      log: { info: (_, message) => void done.push(message) },
      observer: {
        clientMoved: () => undefined,
        homeEnded: () => undefined,
        sessionRestored: (how) => void done.push(how),
      },
    },
    {
      deliver: (body) => void done.push(body.toString()),
      letRead: (isRead) => void done.push(isRead ? 'read' : 'not read'),
      held: (what) => void done.push(['hold', what]),
      left: ({ what }) => void done.push(['left', what]),
      cut: ({ sessionId }) => void done.push(['cut', sessionId]),
      givenUp: ({ sessionId }, why) => void done.push(['given up', sessionId, why]),
      settled: (sessionId) => void done.push(['settled', sessionId]),
    },
    7,
  );
});

function legOf(takesOver: boolean): Leg {
  return {
    takesOver,
    frame: () => undefined,
    drained: () => undefined,
    closed: ({ reason }) => void done.push(['closed', reason]),
    isBusy: false,
    work: { calls: 0, sessions: 0 },
    get state() {
      return state;
    },
    expect: ({ sessionId }) => void done.push(['expect', sessionId]),
    ask: (body) => void asked.push(JSON.parse(body)),
    restored: (sessionId) => void done.push(['restored', sessionId]),
    forget: (sessionId) => void done.push(['forget', sessionId]),
  };
}

/** The home has taken the client, and is to have the session. */
async function restore(takesOver: boolean): Promise<void> {
  const leg = legOf(takesOver);
  stay.begin(leg);
  stay.restore(leg, [SESSION]);
  await settle();
  expect(asked).toMatchObject([{ id: 'own-1', method: 'session.resume', params: { sessionId: 's' } }]);
  expect([stay.isRestoring, stay.isWaitedFor('s'), stay.isWaitedFor('t')]).toEqual([true, true, false]);
}

async function answer(outcome: object): Promise<void> {
  stay.send(JSON.stringify({ jsonrpc: '2.0', id: 'own-1', ...outcome }));
  await settle();
}

describe('a session that a home is to have', () => {
  it('is said to one that takes over, asked for in the name of the client, and is then there', async () => {
    await restore(true);
    await answer({ result: {} });
    expect(done).toEqual([['expect', 's'], 'Restored', ['restored', 's'], ['settled', 's']]);
    expect([stay.isRestoring, stay.isWaitedFor('s')]).toEqual([false, false]);
  });

  it('is cut at one of an earlier version, which goes on with nothing', async () => {
    await restore(false);
    await answer({ result: {} });
    expect(done).toEqual(['Restored', ['restored', 's'], ['cut', 's'], ['settled', 's']]);
  });

  it('is given up when it is refused', async () => {
    await restore(false);
    await answer({ error: { code: -32000, message: 'no' } });
    expect(done).toEqual([
      'a session could not be restored',
      'Lost',
      ['forget', 's'],
      ['given up', 's', expect.stringContaining('refused')],
      ['settled', 's'],
    ]);
  });

  it('is the affair of the next home when this one ends first', async () => {
    await restore(false);
    stay.end({ reason: 'PeerLost', message: '' });
    await answer({ result: {} });
    await clock.advance(FORWARD_LIMITS.restoreMs);
    await stay.over;
    // Of nobody any more who would take it.
    expect(done).toEqual([['closed', 'PeerLost'], expect.stringContaining('own-1')]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('what a home does with its client', () => {
  it('reaches that, but for answers to what was asked in its name', async () => {
    await restore(false);
    stay.send('{"jsonrpc":"2.0","id":1,"result":{}}');
    stay.sendFrames(Buffer.from('piece'), 2);
    stay.pause();
    stay.resume();
    stay.hold('Starts');
    stay.ended({ reason: 'PeerLost', what: 'lost' });
    stay.close({ reason: 'SlowClient', message: '' });
    expect(done).toEqual([
      '{"jsonrpc":"2.0","id":1,"result":{}}',
      ['pieces', 'piece', 2],
      'not read',
      'read',
      ['hold', 'Starts'],
      ['left', 'lost'],
      ['close', 'SlowClient'],
    ]);
    expect([stay.id, stay.identity.tenant.name, stay.askedBefore]).toEqual([1, 'acme', 7]);
  });

  it('is told to the next one without the calls that were made in its name', async () => {
    expect(stay.state).toBeUndefined();
    await restore(false);
    const calls = ['own-1', 2];
    state = {
      sessions: [SESSION],
      openCalls: calls,
      repeatable: calls.map((id) => ({ id, method: 'session.list', params: {} })),
    };
    expect(stay.state).toMatchObject({ sessions: [SESSION], openCalls: [2], repeatable: [{ id: 2 }] });
    expect(stay.state?.repeatable).toHaveLength(1);
  });
});
