import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { DriftBackoff } from '../../../../src/kube/write/drift-backoff.ts';

/** Updates when it is allowed; returns the ms that it must wait otherwise. */
function update(backoff: DriftBackoff, key: string, hash: string, now: number): number {
  const wait = backoff.waitMs(key, hash, now);
  if (wait === 0) backoff.wrote(key, hash, now);
  return wait;
}

describe('restoring what another writer keeps changing', () => {
  it('is immediate three times, then waits twice as long each time, five minutes at most', () => {
    const backoff = new DriftBackoff();
    const waits: number[] = [];
    let now = 0;
    for (let restores = 0; restores < 14; restores++) {
      const wait = update(backoff, 'x', 'hash', now);
      waits.push(wait / 1000);
      now += wait;
      if (wait > 0) expect(update(backoff, 'x', 'hash', now)).toBe(0);
    }
    expect(waits).toEqual([0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it('starts again when something else is desired, and for another object', () => {
    const backoff = new DriftBackoff();
    for (let i = 0; i < 3; i++) update(backoff, 'x', 'old', 0);
    expect(update(backoff, 'x', 'old', 0)).toBe(1_000);
    expect(update(backoff, 'y', 'old', 0)).toBe(0);
    expect(update(backoff, 'x', 'new', 0)).toBe(0);
  });

  it('is immediate again after ten minutes without a write', () => {
    const backoff = new DriftBackoff();
    for (let i = 0; i < 3; i++) update(backoff, 'x', 'hash', 0);
    expect(update(backoff, 'x', 'hash', 600_000)).toBe(0);
    expect(update(backoff, 'x', 'hash', 600_000)).toBe(0);
  });

  it('never happens more than fourteen times in ten minutes, whatever the other writer does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 200 }), (gaps) => {
        const backoff = new DriftBackoff();
        let now = 0;
        const restoredAt: number[] = [];
        for (const gap of gaps) {
          now += gap;
          if (update(backoff, 'x', 'hash', now) === 0) restoredAt.push(now);
        }
        for (const [i, at] of restoredAt.entries()) {
          const within = restoredAt.slice(i).filter((other) => other < at + 600_000).length;
          expect(within).toBeLessThanOrEqual(14);
        }
      }),
    );
  });
});
