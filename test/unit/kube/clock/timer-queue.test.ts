import { beforeEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { TimerQueue } from '../../../../src/kube/clock/timer-queue.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let clock: FakeClock;
let queue: TimerQueue;
let fired: string[];

beforeEach(() => {
  clock = new FakeClock();
  queue = new TimerQueue(clock);
  fired = [];
});

const timer = (ms: number, name = String(ms)) => queue.setTimer(ms, () => fired.push(name));

describe('the timer queue', () => {
  it('fires in order of time, none early and none more than 20 ms late', async () => {
    const delay = fc.integer({ min: 0, max: 2000 });
    await fc.assert(
      fc.asyncProperty(fc.array(delay, { maxLength: 50 }), async (delays) => {
        const late: number[] = [];
        const order: number[] = [];
        const start = clock.monotonic();
        for (const ms of delays) {
          queue.setTimer(ms, () => {
            late.push(clock.monotonic() - start - ms);
            order.push(clock.monotonic());
          });
        }
        await clock.advance(2100);
        expect(late).toHaveLength(delays.length);
        expect(late.every((ms) => ms >= 0 && ms <= 21)).toBe(true);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect([queue.size, clock.pendingTimers]).toEqual([0, 0]);
      }),
      { numRuns: 30 },
    );
  });

  it('never fires a cancelled one, whichever are cancelled, and fires all others in time', async () => {
    const timers = fc.array(fc.tuple(fc.nat(2000), fc.boolean()), { minLength: 5, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(timers, async (wanted) => {
        const start = clock.monotonic();
        const late = new Map<number, number>();
        const set = wanted.map(([ms], index) =>
          queue.setTimer(ms, () => late.set(index, clock.monotonic() - start - ms)),
        );
        wanted.forEach(([, cancelled], index) => cancelled && set[index]?.cancel());
        await clock.advance(2100);
        expect([...late.keys()].toSorted((a, b) => a - b)).toEqual(
          wanted.flatMap(([, cancelled], index) => (cancelled ? [] : [index])),
        );
        expect([...late.values()].every((ms) => ms >= 0 && ms <= 21)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('ignores cancelling a timer that has fired or was cancelled before', async () => {
    const [first, second] = [timer(20), timer(40)];
    for (const ms of [60, 80]) timer(ms);
    await clock.advance(30);
    first.cancel();
    second.cancel();
    second.cancel();
    await clock.advance(100);
    expect(fired).toEqual(['20', '60', '80']);
  });

  it('holds one timer of the clock, however many it has, and none when it has none', () => {
    const timers = [3000, 1000, 2000, 500].map((ms) => timer(ms));
    expect(clock.pendingTimers).toBe(1);
    for (const each of timers) each.cancel();
    expect([queue.size, clock.pendingTimers]).toEqual([0, 0]);
  });

  /** A queue that counts how often the clock has woken it. */
  const counting = () => {
    const wakes = { count: 0 };
    const counted = new TimerQueue({
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      setTimer: (ms, fn) =>
        clock.setTimer(ms, () => {
          wakes.count += 1;
          fn();
        }),
    });
    return { counted, wakes };
  };

  it('wakes the process once for timers close together', async () => {
    const { counted, wakes } = counting();
    for (let ms = 1001; ms <= 1020; ms += 1) counted.setTimer(ms, () => fired.push('x'));
    await clock.advance(1100);
    expect([fired.length, wakes.count]).toEqual([20, 1]);
  });

  it('wakes the process once, although each that fires sets another', async () => {
    const { counted, wakes } = counting();
    const repeat = (): void => {
      fired.push('x');
      counted.setTimer(1000, repeat);
    };
    for (let ms = 1001; ms <= 1020; ms += 1) counted.setTimer(ms, repeat);
    await clock.advance(1100);
    expect([fired.length, wakes.count]).toEqual([20, 1]);
    await clock.advance(1000);
    expect([fired.length, wakes.count]).toEqual([40, 2]);
  });

  it('does not run a timer that is set by a running one in the same turn', async () => {
    const times: number[] = [];
    queue.setTimer(100, () => {
      times.push(clock.monotonic());
      queue.setTimer(0, () => times.push(clock.monotonic()));
    });
    await clock.advance(200);
    expect(times).toEqual([100, 120]);
  });

  it('lets one cancel another that is due with it', async () => {
    queue.setTimer(100, () => second.cancel());
    const second = timer(100);
    await clock.advance(200);
    expect(fired).toEqual([]);
  });

  it('continues after one of them threw', async () => {
    queue.setTimer(100, () => {
      throw new Error('broken');
    });
    timer(100);
    await expect(clock.advance(150)).rejects.toThrow('broken');
    await clock.advance(150);
    expect(fired).toEqual(['100']);
  });
});
