import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { DriftBackoff } from '../../../../src/kube/write/drift-backoff.ts';
import type { Overwrite } from '../../../../src/kube/write/managed-fields.ts';

const NOBODY: Overwrite = { fields: ['spec.replicas'], writers: [] };
const KUBECTL: Overwrite = { fields: ['spec.image'], writers: [{ manager: 'kubectl-set', operation: 'Update' }] };

/** Updates when it is allowed; returns the ms that it must wait otherwise. */
function update(backoff: DriftBackoff, key: string, hash: string, now: number, overwrite = NOBODY): number {
  const wait = backoff.waitMs(key, hash, now);
  if (wait === 0) backoff.wrote(key, hash, now, overwrite);
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

  it('waits although each time a server is stopped and started again: two states in turn', () => {
    const backoff = new DriftBackoff();
    const round = (now: number) => [update(backoff, 'x', 'stop', now, KUBECTL), update(backoff, 'x', 'start', now)];
    expect([round(0), round(0), round(0)]).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(round(0)).toEqual([1_000, 0]);
  });

  it('never waits when a user changes the desired state back and forth', () => {
    const backoff = new DriftBackoff();
    for (let i = 0; i < 20; i++) expect(update(backoff, 'x', i % 2 === 0 ? 'on' : 'off', i)).toBe(0);
    expect(backoff.contest('x', 20)).toBeUndefined();
  });

  it('forgets desired states when there are many', () => {
    const backoff = new DriftBackoff();
    for (let i = 0; i < 3; i++) update(backoff, 'x', 'first', 0);
    expect(backoff.waitMs('x', 'first', 0)).toBe(1_000);
    for (let i = 0; i < 9; i++) update(backoff, 'x', `other ${i}`, 0);
    expect(backoff.waitMs('x', 'first', 0)).toBe(0);
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

describe('a contest with another writer', () => {
  it('is known after the third restore, with who it is, until ten minutes after the last', () => {
    const backoff = new DriftBackoff();
    for (let i = 0; i < 2; i++) update(backoff, 'x', 'hash', i, KUBECTL);
    expect(backoff.contest('x', 2)).toBeUndefined();
    update(backoff, 'x', 'hash', 2, KUBECTL);
    expect(backoff.contest('x', 100_000)).toEqual({ ...KUBECTL, endsInMs: 500_002 });
    expect(backoff.contest('y', 100_000)).toBeUndefined();
    expect(backoff.contest('x', 600_002)).toBeUndefined();
  });

  it('names the other writer also after the update that starts a stopped server again', () => {
    const backoff = new DriftBackoff();
    for (let i = 0; i < 3; i++) {
      update(backoff, 'x', 'stop', i, KUBECTL);
      update(backoff, 'x', 'start', i);
    }
    expect(backoff.contest('x', 3)).toMatchObject(KUBECTL);
  });
});
