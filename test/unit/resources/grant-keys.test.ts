import { describe, expect, it } from '@jest/globals';
import { GRANT_KEYS, keysIn } from '../../../src/resources/key-secret.ts';
import { grantSignerOf, publicGrantKeys } from '../../../src/resources/grant-keys.ts';
import { grantVerifiers, readGrant, signGrant, type SessionGrant } from '../../../src/resources/session-grant.ts';

const keys = keysIn(GRANT_KEYS, {
  data: { key: Buffer.alloc(32, 1).toString('base64'), previousKey: Buffer.alloc(32, 2).toString('base64') },
});
const grant: SessionGrant = {
  tenant: 'team/acme',
  server: 'team/acme-0',
  pod: 'uid-pod',
  session: 'one',
  epoch: 1,
  intent: 'delete',
  issuedAt: '2026-01-02T03:04:05Z',
};

describe('the keys of grants', () => {
  it('are verified by what guards are given, the present one and the one before', () => {
    const verifiers = grantVerifiers(publicGrantKeys(keys) ?? '');
    expect(verifiers).toHaveLength(2);
    for (const key of keys) expect(readGrant(signGrant(grant, grantSignerOf(key)), verifiers)).toMatchObject(grant);
  });

  it('are always the same for one Secret, so that operator and gateway sign alike', () => {
    expect(publicGrantKeys(keys)).toBe(publicGrantKeys([...keys]));
    expect(grantSignerOf(keys[0] ?? missing()).id).not.toBe(grantSignerOf(keys[1] ?? missing()).id);
  });

  it('nothing private is given to guards, and nothing at all while there is no key', () => {
    expect(publicGrantKeys(keys)).not.toContain('PRIVATE');
    expect(publicGrantKeys([])).toBeUndefined();
  });
});

function missing(): never {
  throw new Error('the Secret has two keys');
}
