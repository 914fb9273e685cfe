import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionStatus } from '../../../../src/api/session.ts';
import type { SessionFacts } from '../../../../src/servers/survey/sessions.ts';
import { ownedByAnother } from '../../../../src/session/decisions/causes.ts';
import { ownershipOf } from '../../../../src/session/decisions/ownership.ts';
import { emptyStatus } from '../../../../src/session/status.ts';
import { sessionFacts } from '../../../support/fake-sessions.ts';
import { CREATED, sampleSession } from '../../../support/sessions.ts';

const OWNER = 'copilot-operator.dev/owner';
const stored = (owner?: string) =>
  sessionFacts('alpha', { labels: { theirs: 'x', ...(owner !== undefined && { [OWNER]: owner }) } });
const unread = sessionFacts('alpha', { labels: undefined });
/** The status of a resource that was refused its session. */
const refused: CopilotSessionStatus = emptyStatus({
  session: sampleSession(),
  cause: ownedByAnother(sampleSession()),
  now: CREATED,
});

describe('the data under an id', () => {
  type Case = [string, string | undefined, SessionFacts | undefined, boolean, CopilotSessionStatus | undefined, string];
  it.each<Case>([
    ['is the resource’s when its owner is stored', 'bob', stored('bob'), true, undefined, 'Own'],
    ['is the resource’s when no owner is stored', 'bob', stored(), true, undefined, 'Own'],
    ['is the resource’s when the owner was removed', 'bob', stored(''), true, refused, 'Own'],
    ['is another’s when another owner is stored', 'bob', stored('alice'), true, undefined, 'Another'],
    ['is another’s for a resource without an owner too', undefined, stored('alice'), true, undefined, 'Another'],
    ['is that of a resource without an owner when no owner is stored', undefined, stored(), true, undefined, 'Own'],
    ['is unknown to a resource without an owner before it was read', undefined, unread, true, undefined, 'Unread'],
    ['is unknown before the stored owner was read', 'bob', unread, true, refused, 'Unread'],
    ['stays another’s while a server does not answer', 'bob', undefined, false, refused, 'Another'],
    ['stays the resource’s while a server does not answer', 'bob', undefined, false, undefined, 'Own'],
    ['has no owner any more when no server has it', 'bob', undefined, true, refused, 'Own'],
  ])('%s', (_case, owner, facts, answered, status, expected) => {
    const session = sampleSession({ ...(owner !== undefined && { owner }) }, {}, status);
    expect(ownershipOf(session, facts, answered)).toBe(expected);
  });

  it('is refused with the field and what to do, without naming the stored owner', () => {
    const { reason, message } = ownedByAnother(sampleSession({ owner: 'bob' }));
    expect(reason).toBe('OwnedByAnother');
    expect(message).toMatch(/session alpha of CopilotTenant acme .* spec\.owner of CopilotSession alpha.* Delete this/);
  });
});
