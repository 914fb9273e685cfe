import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { MAX_TOKEN_LENGTH, parseToken } from '../../../../src/gateway/admission/token.ts';

const credential = `cpg_${'a'.repeat(43)}`;
const tenant = { namespace: 'team', name: 'acme' };

describe('a token', () => {
  it.each([
    ['without a user', `team/acme:${credential}`, { tenant, user: undefined, credential }],
    ['with a user', `team/acme/alice:${credential}`, { tenant, user: 'alice', credential }],
    ['with an encoded user', `team/acme/a%40b.c:${credential}`, { tenant, user: 'a@b.c', credential }],
    [
      'with the name of a ServiceAccount',
      `team/acme/system%3aserviceaccount%3Ateam%3abot:${credential}`,
      { tenant, user: 'system:serviceaccount:team:bot', credential },
    ],
    ['with a user beyond ASCII', `team/acme/J%C3%BCrgen%20M:${credential}`, { tenant, user: 'Jürgen M', credential }],
    ['with colons and slashes in the credential', 'team/acme:a:b/c', { tenant, user: undefined, credential: 'a:b/c' }],
    [
      'whose tenant has dots',
      `team/acme.v2:${credential}`,
      { tenant: { namespace: 'team', name: 'acme.v2' }, user: undefined, credential },
    ],
  ])('%s is taken apart', (_, token, expected) => {
    expect(parseToken(token)).toEqual(expected);
  });

  it.each([
    ['no string', 5, 'is not a string'],
    ['none', undefined, 'is not a string'],
    ['empty', '', 'is empty'],
    ['1 MB', `team/acme:${'x'.repeat(1_000_000)}`, 'longer than 16384'],
    ['one character too long', `team/acme:${'x'.repeat(MAX_TOKEN_LENGTH)}`, 'longer than 16384'],
    ['without a credential', 'team/acme', 'has no ":"'],
    ['with an empty credential', 'team/acme:', 'the credential in the token is empty'],
    ['a bare credential', credential, 'has no ":"'],
    ['with one part', `acme:${credential}`, '1 parts stand'],
    ['with four parts', `team/acme/alice/x:${credential}`, '4 parts stand'],
    ['with an empty namespace', `/acme:${credential}`, 'the namespace'],
    ['with an empty tenant', `team/:${credential}`, 'the tenant'],
    ['with an empty user', `team/acme/:${credential}`, 'the user in the token is empty'],
    ['with an upper-case tenant', `team/Acme:${credential}`, 'the tenant'],
    ['with an encoded tenant', `team/%61cme:${credential}`, 'the tenant'],
    ['with a path as tenant', `team/..:${credential}`, 'the tenant'],
    ['with a long tenant', `team/${'a'.repeat(300)}:${credential}`, 'the tenant'],
    ['with a space in front', ` team/acme:${credential}`, 'the namespace'],
    ['with a line end behind', `team/acme:${credential}\n`, 'not visible ASCII'],
    ['with a NUL in the credential', `team/acme:cpg_\0`, 'not visible ASCII'],
    ['with a NUL in the tenant', `team/ac\0me:${credential}`, 'the tenant'],
    ['with an encoded NUL in the user', `team/acme/a%00b:${credential}`, 'cannot be seen'],
    ['with a user in raw UTF-8', `team/acme/jürgen:${credential}`, 'not percent-encoded'],
    ['with a raw @ in the user', `team/acme/a@b:${credential}`, 'not percent-encoded'],
    ['with half an encoding', `team/acme/a%4:${credential}`, 'not percent-encoded'],
    ['with a user that is no UTF-8', `team/acme/%ff:${credential}`, 'percent-encoded UTF-8'],
    ['with an overlong encoding of "/"', `team/acme/%c0%af:${credential}`, 'percent-encoded UTF-8'],
    ['with a surrogate in the user', `team/acme/%ed%a0%80:${credential}`, 'percent-encoded UTF-8'],
    ['with a user that is encoded twice', `team/acme/a%2540b:${credential}`, 'encoded twice'],
    ['with a space at the end of the user', `team/acme/alice%20:${credential}`, 'begins or ends with a space'],
    ['with a zero-width space in the user', `team/acme/al%E2%80%8Bice:${credential}`, 'cannot be seen'],
    ['with a user that turns the direction', `team/acme/a%E2%80%AEb:${credential}`, 'cannot be seen'],
    ['with a long user', `team/acme/${'a'.repeat(257)}:${credential}`, 'longer than 256'],
  ])('%s is refused', (_, token, problem) => {
    expect(parseToken(token)).toEqual({ problem: expect.stringContaining(problem) as unknown });
  });

  it('gives back any user that can be seen, once encoded', () => {
    const seen = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((user) => {
      return (
        user.trim() === user && user.length <= 256 && !/%[0-9a-f]{2}|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/iu.test(user)
      );
    });
    fc.assert(
      fc.property(seen, (user) => {
        const encoded = encodeURIComponent(user).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
        expect(parseToken(`team/acme/${encoded}:${credential}`)).toMatchObject({ user });
      }),
    );
  });

  it('never throws, and never shows a part of the token in its problem', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 12, maxLength: 80 }), (token) => {
        const parsed = parseToken(token);
        if ('problem' in parsed) expect(parsed.problem).not.toContain(token);
      }),
    );
  });
});
