import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  clockMarginFor,
  decide,
  type Policy,
  type Reason,
  type StoredSession,
} from '../../../src/resources/ttl-rule.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.parse('2026-03-01T12:00:00Z');

interface Case {
  /** Time since the last activity. */
  age: number;
  facts?: Partial<StoredSession>;
  policy?: Policy;
  ttl?: number;
  margin?: number;
}

function decisionFor({ age, facts, policy, ttl = 7 * DAY, margin = 10 * MINUTE }: Case) {
  const policies = new Map(policy === undefined ? [] : [['s1', policy]]);
  return decide(
    { sessionId: 's1', modifiedTime: NOW - age, ...facts },
    { ttlMs: ttl, marginMs: margin, policies },
    NOW,
  );
}

describe('the TTL rule', () => {
  it.each<[string, Case, Reason]>([
    ['a session that was just used', { age: 0 }, 'Young'],
    ['one that is younger than the TTL', { age: 6 * DAY }, 'Young'],
    ['one as old as the TTL', { age: 7 * DAY }, 'Young'],
    ['one that is older by less than the clock margin', { age: 7 * DAY + 10 * MINUTE }, 'Young'],
    ['one from the near future, by a clock that is behind', { age: -10 * MINUTE }, 'Young'],
    ['one from the far future', { age: -100 * DAY }, 'Young'],
    ['one of unknown age', { age: Number.NaN }, 'UnknownAge'],
    ['one that a CopilotSession keeps', { age: 900 * DAY, policy: { keep: true } }, 'Kept'],
    ['one that a CopilotSession gives a longer TTL', { age: 29 * DAY, policy: { ttlMs: 30 * DAY } }, 'KeptLonger'],
    ['one within the margin of its longer TTL', { age: 30 * DAY + MINUTE, policy: { ttlMs: 30 * DAY } }, 'KeptLonger'],
    ['one in the memory of its server', { age: 8 * DAY, facts: { activity: 'Loaded' } }, 'Loaded'],
    ['one with a running turn', { age: 8 * DAY, facts: { activity: 'Active' } }, 'Active'],
    ['one that a server locked an hour ago', { age: 8 * DAY, facts: { lockTime: NOW - HOUR } }, 'Locked'],
    [
      'one that a server has just locked, by a clock that is ahead',
      { age: 8 * DAY, facts: { lockTime: NOW + HOUR } },
      'Locked',
    ],
    [
      'an old one whose CopilotSession is younger than its TTL',
      { age: 30 * DAY, policy: { ttlMs: DAY, since: NOW - HOUR } },
      'KeptLonger',
    ],
    [
      'one whose lock is within its longer TTL',
      { age: 40 * DAY, policy: { ttlMs: 30 * DAY }, facts: { lockTime: NOW - 29 * DAY } },
      'Locked',
    ],
  ])('keeps %s', (_, given, reason) => {
    expect(decisionFor(given)).toMatchObject({ action: 'Keep', reason });
  });

  it.each<[string, Case]>([
    ['beyond TTL and margin', { age: 7 * DAY + 10 * MINUTE + 1 }],
    ['that its server does not hold in memory', { age: 8 * DAY, facts: { activity: 'Unloaded' } }],
    ['with the lock of a server that was killed before', { age: 8 * DAY, facts: { lockTime: NOW - 8 * DAY } }],
    ['beyond the longer TTL that a CopilotSession gives it', { age: 31 * DAY, policy: { ttlMs: 30 * DAY } }],
    ['beyond the TTL of the tenant, when a CopilotSession has a shorter one', { age: 8 * DAY, policy: { ttlMs: DAY } }],
    ['whose CopilotSession is older than both TTLs', { age: 8 * DAY, policy: { ttlMs: DAY, since: NOW - 2 * DAY } }],
    [
      'that was used after its CopilotSession was created',
      { age: 8 * DAY, policy: { ttlMs: DAY, since: NOW - 30 * DAY } },
    ],
    ['beyond a short TTL and its margin', { age: 2 * MINUTE + 1, ttl: MINUTE, margin: MINUTE }],
  ])('deletes one %s', (_, given) => {
    expect(decisionFor(given)).toMatchObject({ action: 'Delete', reason: 'Expired' });
  });

  it('does not shorten the TTL of a tenant by a policy', () => {
    expect(decisionFor({ age: 2 * DAY, policy: { ttlMs: DAY } })).toMatchObject({ action: 'Keep', reason: 'Young' });
  });

  it('looks up policies by the id of the session', () => {
    const rule = { ttlMs: DAY, marginMs: 0, policies: new Map([['other', { keep: true } as const]]) };
    expect(decide({ sessionId: 's1', modifiedTime: NOW - 2 * DAY }, rule, NOW).action).toBe('Delete');
  });

  it.each<[Case, string]>([
    [{ age: 8 * DAY + 3 * HOUR }, 'its last activity was 8d 3h ago, the TTL is 7d'],
    [{ age: 90 * MINUTE, ttl: 2 * HOUR }, 'its last activity was 1h 30m ago, the TTL is 2h'],
    [{ age: 30_000, ttl: 90_000 }, 'its last activity was 30s ago, the TTL is 1m'],
    [{ age: -5 * MINUTE }, 'its last activity was -5m ago, the TTL is 7d'],
    [{ age: 8 * DAY, policy: { ttlMs: 9 * DAY } }, 'its last activity was 8d ago, a CopilotSession gives it 9d'],
    [
      { age: 8 * DAY, policy: { ttlMs: DAY, since: NOW - HOUR } },
      'its last activity was 8d ago, a CopilotSession gives it 1d, counted from its creation',
    ],
    [{ age: 8 * DAY, facts: { lockTime: NOW - HOUR } }, 'a server locked it 1h ago'],
  ])('says why: %j', (given, message) => {
    expect(decisionFor(given).message).toBe(message);
  });

  it('deletes nothing younger than its TTL when clocks differ by ten minutes', () => {
    const duration = fc.integer({ min: 0, max: 400 * DAY });
    const skew = fc.integer({ min: -10 * MINUTE, max: 10 * MINUTE });
    fc.assert(
      fc.property(duration, duration, skew, (age, ttl, apart) => {
        const found = decisionFor({ age: age + apart, ttl, margin: clockMarginFor('Volume', ttl) });
        if (age <= ttl) expect(found.action).toBe('Keep');
        if (age > ttl + 20 * MINUTE) expect(found.action).toBe('Delete');
      }),
    );
  });
});

describe('the clock margin', () => {
  it.each<['Server' | 'Volume', number, number]>([
    ['Volume', MINUTE, 10 * MINUTE],
    ['Volume', 30 * DAY, 10 * MINUTE],
    ['Server', MINUTE, MINUTE],
    ['Server', 10 * MINUTE, 10 * MINUTE],
    ['Server', 30 * DAY, 10 * MINUTE],
  ])('of times from a %s, with a TTL of %d ms, is %d ms', (clock, ttl, margin) => {
    expect(clockMarginFor(clock, ttl)).toBe(margin);
  });
});
