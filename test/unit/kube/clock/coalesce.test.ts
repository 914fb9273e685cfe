import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { coalescedDeadline } from '../../../../src/kube/clock/coalesce.ts';

const now = fc.double({ min: 0, max: 1e9, noNaN: true });

describe('the end of a wait', () => {
  it('is exact when the wait is short', () => {
    expect(coalescedDeadline(1234.5, 0)).toBe(1234.5);
    expect(coalescedDeadline(1234.5, 4999)).toBe(6233.5);
  });

  it('is never early, and late by a fifteenth of the wait at most', () => {
    const wait = fc.integer({ min: 5000, max: 3_600_000 });
    fc.assert(
      fc.property(now, wait, (from, ms) => {
        const late = coalescedDeadline(from, ms) - from - ms;
        expect(late).toBeGreaterThanOrEqual(0);
        expect(late).toBeLessThanOrEqual(ms / 15);
      }),
    );
  });

  it('is shared by long waits that end close together', () => {
    const ends = Array.from({ length: 200 }, (_, index) => coalescedDeadline(index * 50, 45_000));
    expect(new Set(ends).size).toBe(6);
    expect(new Set([8010, 8060, 8190].map((ms) => coalescedDeadline(0, ms))).size).toBe(1);
  });
});
