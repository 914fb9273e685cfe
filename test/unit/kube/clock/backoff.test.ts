import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Backoff, exponentialDelay, WATCH_BACKOFF } from '../../../../src/kube/clock/backoff.ts';

const take = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next());

describe('exponential delays', () => {
  it('double with each failure and stay at the longest', () => {
    const delays = [0, 1, 2, 3, 2000].map((failures) => exponentialDelay({ baseMs: 100, maxMs: 500 }, failures));
    expect(delays).toEqual([100, 200, 400, 500, 500]);
  });
});

describe('back-off of a watch', () => {
  it('doubles from 0.8 s and stays at 30 s at most', () => {
    expect(take(new Backoff(WATCH_BACKOFF, () => 0), 8)).toEqual([800, 1600, 3200, 6400, 12800, 15000, 15000, 15000]);
    expect(take(new Backoff(WATCH_BACKOFF, () => 1), 7)).toEqual([1600, 3200, 6400, 12800, 25600, 30000, 30000]);
  });

  it('keeps its jitter when it no longer grows', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 0, max: 2000 }),
        (r, n) => {
          const backoff = new Backoff(WATCH_BACKOFF, () => r);
          const last = take(backoff, n + 1).at(-1) ?? 0;
          expect(last).toBeGreaterThanOrEqual(Math.min(800 * 2 ** n, 15_000));
          expect(last).toBeLessThanOrEqual(30_000);
          expect(last).toBe(Math.min(800 * 2 ** n, 15_000) * (1 + r));
        },
      ),
    );
  });

  it('starts again after a reset', () => {
    const backoff = new Backoff(WATCH_BACKOFF, () => 0);
    take(backoff, 5);
    backoff.reset();
    expect(backoff.next()).toBe(800);
  });
});
