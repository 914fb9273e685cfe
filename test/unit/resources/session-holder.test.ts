import { describe, expect, it } from '@jest/globals';
import { holderOf } from '../../../src/resources/session-holder.ts';
import { sampleSession } from '../../support/sessions.ts';

const made = (name: string, creationTimestamp: string, uid = name) =>
  sampleSession({ sessionId: 'shared' }, { name, uid, creationTimestamp });

describe('an id that several resources name', () => {
  it.each([
    ['is nobody’s without one', [], undefined],
    ['is held by the only one', [made('a', '2026-01-01T00:00:01Z')], 'a'],
    ['is held by the older one', [made('new', '2026-01-01T00:00:02Z'), made('old', '2026-01-01T00:00:01Z')], 'old'],
    [
      'is held by the lower UID of two of the same second',
      [made('b', '2026-01-01T00:00:01Z', 'uid-2'), made('a', '2026-01-01T00:00:01Z', 'uid-1')],
      'a',
    ],
    [
      'stays with the one of the same second that was told to hold it',
      [
        made('new', '2026-01-01T00:00:01Z', 'uid-1'),
        { ...made('told', '2026-01-01T00:00:01Z', 'uid-2'), status: { phase: 'Pending' as const } },
      ],
      'told',
    ],
    [
      'is held by the older one even while that is being deleted: its data goes first',
      [
        made('new', '2026-01-01T00:00:02Z'),
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
