import { beforeEach, expect, it } from '@jest/globals';
import type { RateExcess } from '../../../../src/gateway/client/rates.ts';
import { Throttle } from '../../../../src/gateway/client/throttle.ts';
import type { Identity } from '../../../../src/gateway/model.ts';

const ALICE: Identity = {
  tenant: { namespace: 'team', name: 'acme' },
  user: 'alice',
  credential: 'Kubernetes',
  expiresAt: undefined,
};
const EXCESS: RateExcess = {
  reason: 'UserFrames',
  message: 'too many',
  field: 'spec.rates.user.framesPerSecond',
  limit: 1,
  retryAfterMs: 250,
};

/** Why a frame is too much; undefined: it is not. */
let excess: RateExcess | undefined;
/** What was counted and observed, in this order. */
let done: unknown[];
let sent: unknown[];
let throttle: Throttle;

beforeEach(() => {
  [excess, done, sent] = [EXCESS, [], []];
  throttle = new Throttle({
    identity: ALICE,
    rates: {
      received: ({ user }, bytes) => {
        done.push(['received', user, bytes]);
        return excess;
      },
      overdrawn: ({ user }, bytes, of) => void done.push(['overdrawn', user, bytes, of]),
    },
    observer: { oversize: () => void done.push('oversize'), rateExceeded: (rule) => void done.push(rule) },
    send: (body) => void sent.push(JSON.parse(body)),
  });
});

function refuses(message: object): boolean {
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
  const isRefused = throttle.refuses(body);
  expect(done.shift()).toEqual(['received', 'alice', body.length]);
  return isRefused;
}

it('takes a frame that is not too much', () => {
  excess = undefined;
  expect([refuses({ id: 1, method: 'session.send' }), done, sent]).toEqual([false, [], []]);
});

it('refuses a call that is too much, and says when it may be made again', () => {
  expect([refuses({ id: 1, method: 'session.send' }), done]).toEqual([true, ['UserFrames']]);
  expect(sent).toMatchObject([{ id: 1, error: { message: expect.stringContaining('too many') } }]);
});

it.each([
  ['an answer', { id: 1, result: {} }, 'All'],
  ['a notification, of which only its user has less', { method: 'a' }, 'User'],
])('takes %s although it is too much, and counts it', (_, message, of) => {
  expect([refuses(message), sent]).toEqual([false, []]);
  expect(done).toEqual([['overdrawn', 'alice', expect.any(Number), of]]);
});

it('counts a frame that is too large', () => {
  throttle.oversize(1000);
  expect(done).toEqual(['oversize', ['overdrawn', 'alice', 1000, undefined]]);
});
