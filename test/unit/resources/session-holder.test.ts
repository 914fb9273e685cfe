import { describe, expect, it } from '@jest/globals';
import { holderOf } from '../../../src/resources/session-holder.ts';
import { sampleSession } from '../../support/sessions.ts';

const created = (name: string, creationTimestamp: string, uid = name) =>
  sampleSession({ sessionId: 'shared' }, { name, uid, creationTimestamp });

describe('an id that several resources name', () => {
  it.each([
    ['has no holder without one', [], undefined],
    ['is held by the only one', [created('a', '2026-01-01T00:00:01Z')], 'a'],
    [
      'is held by the older one',
      [created('new', '2026-01-01T00:00:02Z'), created('old', '2026-01-01T00:00:01Z')],
      'old',
    ],
    [
      'is held by the lower UID of two of the same second',
      [created('b', '2026-01-01T00:00:01Z', 'uid-2'), created('a', '2026-01-01T00:00:01Z', 'uid-1')],
      'a',
    ],
    [
      'stays with the one of the same second that has a phase',
      [
        created('new', '2026-01-01T00:00:01Z', 'uid-1'),
        { ...created('holder', '2026-01-01T00:00:01Z', 'uid-2'), status: { phase: 'Pending' as const } },
      ],
      'holder',
    ],
    [
      'is held by the older one even while that is being deleted: its data is deleted first',
      [
        created('new', '2026-01-01T00:00:02Z'),
        sampleSession(
          { sessionId: 'shared' },
          {
            name: 'old',
            creationTimestamp: '2026-01-01T00:00:01Z',
            deletionTimestamp: '2026-01-01T00:00:05Z',
          },
        ),
      ],
      'old',
    ],
  ])('%s', (_case, sessions, holder) => {
    expect(holderOf(sessions)?.metadata.name).toBe(holder);
    expect(holderOf(sessions.toReversed())?.metadata.name).toBe(holder);
  });
});
