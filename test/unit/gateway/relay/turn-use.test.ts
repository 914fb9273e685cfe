import { describe, expect, it } from '@jest/globals';
import { Alone, decideFirst } from '../../../../src/gateway/relay/asking/first-asked.ts';
import { decideTurnUse, type TurnFacts } from '../../../../src/gateway/relay/turns/turn-use.ts';

describe('a prompt in a session of several users', () => {
  const bobs: TurnFacts = { rule: 'Queue', user: 'bob', isTaken: true, holder: 'alice' };

  it.each<[string, Partial<TurnFacts>, string, string]>([
    ['goes as ever without a rule', { rule: undefined }, 'Send', 'NoRule'],
    ['is sent while no turn runs', { isTaken: false, holder: undefined }, 'Send', 'Free'],
    ['is sent in a turn of the same user', { holder: 'bob' }, 'Send', 'OwnTurn'],
    ['goes as ever where it is not known whose turn runs', { holder: undefined }, 'Send', 'UnknownUser'],
    ['goes as ever where its client states no user', { user: undefined }, 'Send', 'UnknownUser'],
    ['is queued behind the turn of another user', {}, 'Queue', 'InUse'],
    ['is refused while another user has the turn', { rule: 'Refuse' }, 'Refuse', 'InUse'],
    ['is queued also between names that look alike', { user: 'Alice' }, 'Queue', 'InUse'],
  ])('%s', (_, facts, verdict, reason) => {
    expect(decideTurnUse({ ...bobs, ...facts })).toMatchObject({
      verdict,
      reason,
      message: expect.stringMatching(/\.$/),
    });
  });
});

describe('a question for a person', () => {
  const [alice, bob, nobody] = [{ user: 'alice' }, { user: 'bob' }, {}];

  it.each<[string, readonly { user?: string }[], string | undefined, string | undefined, string]>([
    ['is for the user whose turn asks', [bob, alice], 'alice', 'alice', 'UserIsThere'],
    ['is for all where that user does not answer', [bob, nobody], 'alice', undefined, 'UserCannotAnswer'],
    ['is for all where nobody answers yet', [], 'alice', undefined, 'UserCannotAnswer'],
    ['is for all where the turn is nobody’s', [alice, nobody], undefined, undefined, 'NobodysTurn'],
  ])('%s', (_, able, turnUser, user, reason) => {
    expect(decideFirst(able, turnUser)).toEqual({ user, reason, message: expect.stringMatching(/\.$/) });
  });

  it('is one user’s until its last deadline only', () => {
    const alone = new Alone();
    const cancelled: string[] = [];
    const until = (name: string) => () => ({ cancel: () => void cancelled.push(name) });
    alone.begin([alice], 'alice', until('first'));
    alone.begin([alice, bob], 'alice', until('second'));
    expect([cancelled, alone.isFor(alice), alone.isFor(bob)]).toEqual([['first'], true, false]);
    alone.begin([bob], 'alice', until('third'));
    expect([cancelled, alone.isFor(bob), alone.isThere([alice])]).toEqual([['first', 'second'], true, false]);
  });
});
