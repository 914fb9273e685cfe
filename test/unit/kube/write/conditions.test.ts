import { describe, expect, it } from '@jest/globals';
import { findCondition, isConditionTrue, setCondition, setConditions } from '../../../../src/kube/write/conditions.ts';
import { microTimestamp, timestamp } from '../../../../src/kube/types/time.ts';

const then = Date.UTC(2026, 0, 1, 12, 0, 0, 789);
const later = then + 60_000;
const ready = { type: 'Ready', status: 'True', reason: 'AllServersReady', message: '1/1' } as const;

describe('conditions', () => {
  it('keep their transition time while only reason and message change', () => {
    const first = setCondition(undefined, ready, then);
    const second = setCondition(first, { ...ready, message: '2/2', observedGeneration: 2 }, later);
    expect(second).toEqual([
      { ...ready, message: '2/2', observedGeneration: 2, lastTransitionTime: '2026-01-01T12:00:00Z' },
    ]);
  });

  it('move that time when the status flips', () => {
    const first = setCondition(undefined, ready, then);
    const second = setCondition(first, { ...ready, status: 'False', reason: 'ServerDown' }, later);
    expect(findCondition(second, 'Ready')?.lastTransitionTime).toBe('2026-01-01T12:01:00Z');
    expect([isConditionTrue(first, 'Ready'), isConditionTrue(second, 'Ready')]).toEqual([true, false]);
  });

  it('keep their order, and do not modify the original list', () => {
    const before = Object.freeze(setCondition(setCondition([], ready, then), { ...ready, type: 'Healthy' }, then));
    const after = setCondition(before, { ...ready, status: 'Unknown' }, later);
    expect(after.map((condition) => condition.type)).toEqual(['Ready', 'Healthy']);
  });
});

describe('times on the wire', () => {
  it('have whole seconds in a Time and six digits in a MicroTime', () => {
    expect(timestamp(then)).toBe('2026-01-01T12:00:00Z');
    expect(microTimestamp(then)).toBe('2026-01-01T12:00:00.789000Z');
  });
});

describe('several conditions', () => {
  const verdict = (status: 'True' | 'False') => ({ status, reason: 'Reason', message: 'Message.' });

  it('are set together, each with the generation they were found at', () => {
    const first = setConditions(undefined, [['A', verdict('True')]], 1, 0);
    const both = setConditions(
      first,
      [
        ['A', verdict('True')],
        ['B', verdict('False')],
      ],
      2,
      60_000,
    );
    expect(both.map(({ type, observedGeneration }) => `${type} ${observedGeneration}`)).toEqual(['A 2', 'B 2']);
    expect(both.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([
      '1970-01-01T00:00:00Z',
      '1970-01-01T00:01:00Z',
    ]);
  });
});
