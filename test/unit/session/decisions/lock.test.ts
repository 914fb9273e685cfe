import { describe, expect, it } from '@jest/globals';
import { lockStatus } from '../../../../src/session/decisions/lock.ts';
import { sampleSession } from '../../../support/sessions.ts';

const SINCE = Date.UTC(2026, 0, 2, 3, 4, 5);
const found = { holder: 'alice', epoch: 3, since: SINCE };
const lock = { holder: 'alice', since: '2026-01-02T03:04:05Z', epoch: 3 };
const shared = (before?: typeof lock) =>
  sampleSession({ collaboration: { turns: 'Queue' } }, {}, before && { lock: before });

describe('what the status says of whose turn it is', () => {
  it('is who holds it, since when, and the number of the lock', () => {
    expect(lockStatus(shared(), found)).toEqual(lock);
  });

  it('is nothing when nobody holds it, or in a session that is not one of several users', () => {
    expect(lockStatus(shared(lock), undefined)).toBeUndefined();
    expect(lockStatus(sampleSession({}, {}, { lock }), found)).toBeUndefined();
    expect(lockStatus(sampleSession({ collaboration: {} }), found)).toBeUndefined();
  });

  it('stays while the gateway has not said anything to this process', () => {
    expect(lockStatus(shared(lock), 'Unknown')).toBe(lock);
  });

  it('stays the same for the next process, which computes the begin anew', () => {
    expect(lockStatus(shared(lock), { ...found, since: SINCE + 20_000 })).toBe(lock);
    expect(lockStatus(shared(lock), { ...found, since: SINCE + 600_000 })).not.toBe(lock);
    expect(lockStatus(shared(lock), { ...found, epoch: 4 })).toEqual({ ...lock, epoch: 4 });
    expect(lockStatus(shared(lock), { ...found, holder: 'bob' })).toEqual({ ...lock, holder: 'bob' });
  });

  it.each([
    ['a name of DNS', 'alice.example.com', 'alice.example.com'],
    ['a name that is too long', 'x'.repeat(300), 'x'.repeat(256)],
    ['a long name of characters beyond the first plane', '\u{1F600}'.repeat(300), '\u{1F600}'.repeat(256)],
    ['half a pair of surrogates', 'a\uD800b', 'a\uFFFDb'],
    ['controls, and a change of direction', 'a\nb\u001B[31mc\u202Ed', 'a\uFFFDb\uFFFD[31mc\uFFFDd'],
    ['spaces and commas', 'Alice B., C', 'Alice B., C'],
  ])('has %s as it can be stored and shown', (_, holder, shown) => {
    expect(lockStatus(shared(), { ...found, holder })?.holder).toBe(shown);
  });
});
