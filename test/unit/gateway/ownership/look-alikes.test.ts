// Users whose names look alike are different users, wherever the gateway compares them.
import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { parseToken } from '../../../../src/gateway/admission/token.ts';
import { decideOwnership } from '../../../../src/gateway/ownership/decide.ts';
import { makeStamp, readStamp } from '../../../../src/gateway/ownership/stamp.ts';
import { chooseServer, type ServerLoad } from '../../../../src/gateway/relay/tenant/placement.ts';
import { turnOrder } from '../../../../src/gateway/relay/limits/turn-order.ts';
import { decideTurnUse } from '../../../../src/gateway/relay/turns/turn-use.ts';
import { bindingTokenFor } from '../../../support/gateway.ts';
import { stampKey } from '../../../support/static-ownership.ts';

const NAMES = [
  'alice',
  'ALICE',
  'Alice',
  'alice-admin',
  'alice-',
  'alice,bob',
  'alice@example.com',
  '\u0430lice',
  'al\u00edce',
  'ali\u0301ce',
  'system:serviceaccount:team:alice',
  '__proto__',
  'a'.repeat(256),
  `${'a'.repeat(255)}b`,
];
const PAIRS = NAMES.flatMap((one) => NAMES.filter((other) => other !== one).map((other) => [one, other] as const));
const session = { namespace: 'team', tenant: 'acme', sessionId: 's' };

describe.each(NAMES)('%s', (user) => {
  it('is the user of a token that names it, to the letter', () => {
    expect(parseToken(bindingTokenFor(user))).toMatchObject({ user });
  });

  it('is the owner by its stamp, to the letter', () => {
    const key = stampKey('k');
    expect(readStamp(session, makeStamp(session, user, key, randomBytes), [key])).toMatchObject({ owner: user });
  });
});

describe.each(PAIRS)('%s is not %s', (user, other) => {
  it('as the owner, as a participant, or in what is reserved', () => {
    const none = { label: undefined, record: undefined };
    const record = { owner: other, participants: [other] };
    expect(decideOwnership({ ...none, user, exists: true, owner: other }).verdict).toBe('Other');
    expect(decideOwnership({ ...none, user, exists: true, owner: 'carol', record }).verdict).toBe('Other');
    expect(
      decideOwnership({ user, exists: true, owner: 'carol', label: other, record: { ...record, owner: 'carol' } })
        .verdict,
    ).toBe('Other');
    expect(decideOwnership({ ...none, user, exists: false, owner: undefined, record }).verdict).toBe('Other');
  });

  it('in the turns of a session and of a server', () => {
    const use = decideTurnUse({ rule: 'Refuse', user, isTaken: true, holder: other });
    expect(use.verdict).toBe('Refuse');
    const [first, second, third] = [{ user }, { user }, { user: other }];
    expect(turnOrder([first, second, third], [])).toEqual([first, third, second]);
  });
});

it('names that differ by case only are placed each by itself', () => {
  const servers: ServerLoad[] = [0, 1, 2].map((index) => ({ index, takesNew: true, turns: 0, sessions: 0 }));
  const placeOf = (user: string) => chooseServer('ByUser', servers, { user, last: undefined })?.server.index;
  const users = Array.from({ length: 3_000 }, (_, n) => `user-${n}`);
  const same = users.filter((user) => placeOf(user) === placeOf(user.toUpperCase())).length;
  // A third of them by chance.
  expect(same).toBeGreaterThan(850);
  expect(same).toBeLessThan(1_150);
});
