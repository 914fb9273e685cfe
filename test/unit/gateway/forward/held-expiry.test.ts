import { beforeEach, expect, it } from '@jest/globals';
import { HeldExpiry } from '../../../../src/gateway/forward/held-expiry.ts';
import { HeldFrames, HeldMemory } from '../../../../src/gateway/forward/held-frames.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let clock: FakeClock;
let held: HeldFrames;
let isServed: boolean;
/** Ids of the frames that wait no more. */
let expired: unknown[];
let looks: number;
let expiry: HeldExpiry;

beforeEach(() => {
  clock = new FakeClock();
  held = new HeldFrames(new HeldMemory(1024));
  [isServed, expired, looks] = [false, [], 0];
  expiry = new HeldExpiry({
    held,
    clock,
    limits: { heldMs: 1000, lookMs: 50 },
    isServed: () => isServed,
    expired: ({ id }) => void expired.push(id),
    looked: () => void (looks += 1),
  });
});

function wait(id: number): void {
  const message = { kind: 'request', id, method: 'session.list', params: {} } as const;
  expect(held.push(Buffer.from('{}'), message, false, clock.monotonic())).toBe(true);
  expiry.begin();
}

it('each frame waits for its own time, and no timer is left', async () => {
  wait(1);
  await clock.advance(400);
  wait(2);
  await clock.advance(599);
  expect(expired).toEqual([]);
  await clock.advance(1);
  expect([expired, looks]).toEqual([[1], 1]);
  await clock.advance(399);
  expect(expired).toEqual([1]);
  await clock.advance(1);
  expect([expired, looks, clock.pendingTimers]).toEqual([[1, 2], 2, 0]);
  wait(3);
  await clock.advance(1000);
  expect(expired).toEqual([1, 2, 3]);
});

it('time that a frame has waited at a home does not count', async () => {
  isServed = true;
  wait(1);
  await clock.advance(5000);
  expect(expired).toEqual([]);
  isServed = false;
  expiry.left();
  await clock.advance(900);
  expect(expired).toEqual([]);
  await clock.advance(150);
  expect(expired).toEqual([1]);
});

it('a client that is gone leaves no timer', async () => {
  wait(1);
  expiry.stop();
  await clock.advance(5000);
  expect([expired, clock.pendingTimers]).toEqual([[], 0]);
});
