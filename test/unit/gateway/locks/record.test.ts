import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { leavingIn, readRecord, signOf, writeRecord } from '../../../../src/gateway/locks/record.ts';
import type { SessionRecord } from '../../../../src/gateway/locks/store.ts';

const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
const place = fc.record({ server: text, podUID: text });
const record: fc.Arbitrary<SessionRecord> = fc.record({
  epoch: fc.integer({ min: 1, max: 2 ** 40 }),
  state: fc.constantFrom('Moving', 'Placed'),
  place,
  leaving: fc.array(fc.oneof(place, fc.record({ server: text, podUID: text, epoch: fc.integer({ min: 1 }) })), {
    maxLength: 3,
  }),
  holder: text,
});

describe('a record as text', () => {
  it('is read as it was written', () => {
    fc.assert(fc.property(record, (each) => expect(readRecord(writeRecord(each))).toEqual(each)));
  });

  it('begins with the sign of this record, and of no other', () => {
    fc.assert(
      fc.property(record, record, (one, other) => {
        const isSame = one.epoch === other.epoch && one.state === other.state && one.holder === other.holder;
        expect(writeRecord(one).startsWith(signOf(one))).toBe(true);
        expect(writeRecord(one).startsWith(signOf(other))).toBe(isSame);
      }),
    );
  });

  it('may have more after it, by a later version', () => {
    const known = { epoch: 7, state: 'Placed', place: { server: 's', podUID: 'p' }, leaving: [], holder: 'a' };
    expect(readRecord('7 Placed "a" [["s","p","new"],[],{"new":1}]')).toEqual(known);
  });

  it('does not leave again what is left, and each pod under its last epoch', () => {
    const at = (podUID: string, epoch?: number) => ({ server: 's', podUID, ...(epoch !== undefined && { epoch }) });
    const leaving = [at('a', 3), at('b', 4), at('c')];
    const seen = { epoch: 7, state: 'Moving', place: at('b'), leaving, holder: 'h' } as const;
    expect(leavingIn({ seen, place: at('d'), left: ['a'] })).toEqual([at('b', 7), at('c')]);
    expect(leavingIn({ seen, place: at('b') })).toEqual([at('a', 3), at('c')]);
  });

  it.each([
    '',
    'hello',
    '0 Placed "a" [["s","p"],[]]',
    '-1 Placed "a" [["s","p"],[]]',
    '1.5 Placed "a" [["s","p"],[]]',
    '1 Elsewhere "a" [["s","p"],[]]',
    '1 Placed a [["s","p"],[]]',
    '1 Placed "a" [["s"],[]]',
    '1 Placed "a" [["s","p"]]',
    '1 Placed "a" [["s","p"],[["s"]]]',
    '1 Placed "a" [["s","p"],[]',
    '1 Placed "\\x" [["s","p"],[]]',
  ])('is none: %s', (wrong) => {
    expect(readRecord(wrong)).toBeUndefined();
  });
});
