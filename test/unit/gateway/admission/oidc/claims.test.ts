import { describe, expect, it } from '@jest/globals';
import { userOf, type Claims } from '../../../../../src/gateway/admission/oidc/claims.ts';
import { timestamp } from '../../../../../src/kube/types/time.ts';

const bySub = { username: { claim: 'sub', prefix: '' }, groups: { claim: 'groups', prefix: '' }, rules: [] };
const prefixed = {
  username: { claim: 'sub', prefix: 'oidc:' },
  groups: { claim: 'groups', prefix: 'oidc:' },
  rules: [],
};
const byEmail = { ...bySub, username: { claim: 'email', prefix: '' } };
const forExample = { ...bySub, rules: [{ claim: 'hd', requiredValue: 'example.com' }] };

describe('the claims of an OIDC token', () => {
  it('become a user with groups, and with nothing that the API server would add', () => {
    expect(userOf({ sub: 'alice', groups: ['dev', '', 'ops'], exp: 2 }, bySub)).toEqual({
      name: 'alice',
      uid: undefined,
      groups: ['dev', 'ops'],
      extra: {},
      expiresAt: 2_000,
    });
  });

  it.each([1e18, 1e300, Infinity])('end no later than any calendar has days for, though they say %d', (exp) => {
    const user = userOf({ sub: 'alice', exp }, bySub);
    expect('name' in user && timestamp(user.expiresAt ?? 0)).toBe('9999-12-31T23:59:59Z');
  });

  it('get the prefixes of their issuer', () => {
    const user = userOf({ sub: 'system:admin', groups: ['system:masters'] }, prefixed);
    expect(user).toMatchObject({ name: 'oidc:system:admin', groups: ['oidc:system:masters'] });
  });

  it.each<[string, Claims, readonly string[]]>([
    ['none', { sub: 'a' }, []],
    ['a text', { sub: 'a', groups: 'dev' }, ['dev']],
    ['null', { sub: 'a', groups: null }, []],
  ])('may have %s as groups', (_, claims, groups) => {
    expect(userOf(claims, bySub)).toMatchObject({ groups });
  });

  it('are no groups where the issuer has no claim for them', () => {
    expect(userOf({ sub: 'a', groups: ['dev'] }, { ...bySub, groups: undefined })).toMatchObject({ groups: [] });
  });

  it.each<[string, Claims, Parameters<typeof userOf>[1], string]>([
    ['without a user', {}, bySub, 'the claim sub'],
    ['with an empty user', { sub: '' }, bySub, 'the claim sub'],
    ['with a number as user', { sub: 7 }, bySub, 'the claim sub'],
    [
      'of what every object has',
      {},
      { ...bySub, username: { claim: 'constructor', prefix: '' } },
      'the claim constructor',
    ],
    ['with a user of Kubernetes', { sub: 'system:admin' }, bySub, 'set claimMappings.username.prefix'],
    [
      'with a user of Kubernetes, put together',
      { sub: 'tem:serviceaccount:a:b' },
      { ...bySub, username: { claim: 'sub', prefix: 'sys' } },
      'set claimMappings.username.prefix',
    ],
    [
      'with a group of Kubernetes',
      { sub: 'a', groups: ['dev', 'system:masters'] },
      bySub,
      'claimMappings.groups.prefix',
    ],
    [
      'with a group as text of Kubernetes',
      { sub: 'a', groups: 'system:masters' },
      bySub,
      'claimMappings.groups.prefix',
    ],
    ['with numbers as groups', { sub: 'a', groups: [1] }, bySub, 'the claim groups'],
    ['with a user that cannot be seen', { sub: 'al\u200bice' }, bySub, 'characters that cannot be seen'],
    ['with a line in its user', { sub: 'alice\n' }, bySub, 'characters that cannot be seen'],
    ['with a long user', { sub: 'a'.repeat(257) }, bySub, 'longer than 256'],
    ['with an address that is not verified', { email: 'a@b.c', email_verified: false }, byEmail, 'email_verified'],
    [
      'with an address that is as good as verified',
      { email: 'a@b.c', email_verified: 'true' },
      byEmail,
      'email_verified',
    ],
    [
      'with an address that is verified or not: null',
      { email: 'a@b.c', email_verified: null },
      byEmail,
      'email_verified',
    ],
    ['of another organisation', { sub: 'a', hd: 'elsewhere.com' }, forExample, 'the claim hd'],
    ['of no organisation', { sub: 'a' }, forExample, 'the claim hd'],
  ])('%s are nobody', (_, claims, config, problem) => {
    expect(userOf(claims, config)).toEqual({ problem: expect.stringContaining(problem) as unknown });
  });

  it('are somebody with an address that is verified, or without a claim on that', () => {
    expect(userOf({ email: 'a@b.c', email_verified: true }, byEmail)).toMatchObject({ name: 'a@b.c' });
    expect(userOf({ email: 'a@b.c' }, byEmail)).toMatchObject({ name: 'a@b.c' });
    expect(userOf({ sub: 'a', hd: 'example.com' }, forExample)).toMatchObject({ name: 'a' });
  });
});
