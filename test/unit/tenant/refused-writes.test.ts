import { expect, it } from '@jest/globals';
import { RefusedWrites } from '../../../src/tenant/refused-writes.ts';

const ACME = { namespace: 'team', name: 'acme' };
const none = new Set<number>();

/** Those that are refused, and those of them of which a dry run says something. */
const shown = (writes: RefusedWrites) => [[...writes.of(ACME)], [...writes.testable(ACME)]];

it('refused writes are known until they are taken', () => {
  const writes = new RefusedWrites();
  writes.record(ACME, new Set([0, 2]), none);
  expect([shown(writes), [...writes.of({ ...ACME, name: 'other' })]]).toEqual([
    [
      [0, 2],
      [0, 2],
    ],
    [],
  ]);
  writes.record(ACME, new Set([2]), none);
  expect(shown(writes)).toEqual([[2], [2]]);
  writes.forget(ACME);
  expect(shown(writes)).toEqual([[], []]);
});

it('a server whose dry run was taken drains, and another dry run says nothing once its write is refused in spite of it', () => {
  const writes = new RefusedWrites();
  writes.record(ACME, new Set([0, 1]), none);
  writes.taken(ACME, [0]);
  expect(shown(writes)).toEqual([[1], [1]]);
  writes.record(ACME, new Set([1]), new Set([0]));
  writes.record(ACME, new Set([0, 1]), none);
  expect(shown(writes)).toEqual([[0, 1], [1]]);
  writes.record(ACME, new Set([0, 1]), none);
  expect(shown(writes)).toEqual([[0, 1], [1]]);
});

it('a write that was taken at last begins anew', () => {
  const writes = new RefusedWrites();
  writes.record(ACME, new Set([0]), none);
  writes.taken(ACME, [0]);
  writes.record(ACME, new Set([0]), none);
  writes.record(ACME, none, none);
  writes.record(ACME, new Set([0]), none);
  expect(shown(writes)).toEqual([[0], [0]]);
});
