import { beforeEach, describe, expect, it } from '@jest/globals';
import type { HeldTurn } from '../../../src/resources/gateway-internal.ts';
import { SessionLocks } from '../../../src/session/locks.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sampleSession } from '../../support/sessions.ts';

const alpha = sampleSession();
const held = (change: Partial<HeldTurn> = {}): HeldTurn => ({
  namespace: 'team',
  name: 'acme',
  session: 'alpha',
  holder: 'alice',
  epoch: 3,
  heldMs: 5000,
  ...change,
});

let clock: FakeClock;
let locks: SessionLocks;
let told: (string | undefined)[];

beforeEach(() => {
  clock = new FakeClock();
  locks = new SessionLocks(clock);
  told = [];
  locks.onChange((key) => void told.push(key));
});

describe('the turns that users hold', () => {
  it('are not known before the gateway has answered, and then nobody is held who is not named', () => {
    expect(locks.get(alpha)).toBe('Unknown');
    locks.update([]);
    expect([locks.get(alpha), told]).toEqual([undefined, [undefined]]);
  });

  it('are held since a time of this clock, which stays as long as the lock does', async () => {
    locks.update([held()]);
    const since = clock.now() - 5000;
    expect(locks.get(alpha)).toMatchObject({ holder: 'alice', epoch: 3, since });
    await clock.advance(30_000);
    clock.jumpWallClock(3_600_000);
    locks.update([held({ heldMs: 34_900 })]);
    expect(locks.get(alpha)).toMatchObject({ since });
    expect(told).toEqual([undefined, 'team/acme alpha']);
  });

  it.each([
    ['passes to another client', held({ epoch: 4, heldMs: 0 })],
    ['passes to the same number at another replica', held({ heldMs: 1000 })],
    ['ends', undefined],
  ])('are told when one %s', async (_, next) => {
    locks.update([held()]);
    told.length = 0;
    await clock.advance(30_000);
    locks.update(next === undefined ? [] : [next]);
    expect(told).toEqual(['team/acme alpha']);
  });

  it('are counted', () => {
    expect(locks.counts()).toEqual({ held: 0, oldestSeconds: 0 });
    locks.update([held(), held({ session: 'beta', heldMs: 9000 })]);
    expect(locks.counts()).toEqual({ held: 2, oldestSeconds: 9 });
  });
});
