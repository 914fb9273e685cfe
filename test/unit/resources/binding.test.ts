import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { bindingToken, credentialHash, credentialIn, newCredential } from '../../../src/resources/binding.ts';
import { CREDENTIAL, sampleTenant, TOKEN } from '../../support/tenants.ts';

const tenant = sampleTenant();

describe('a binding credential', () => {
  it('has 256 random bits, and its prefix', () => {
    const credential = newCredential(randomBytes);
    expect(credential).toMatch(/^cpg_[\w-]{43}$/);
    expect(Buffer.from(credential.slice('cpg_'.length), 'base64url')).toHaveLength(256 / 8);
    expect(newCredential(randomBytes)).not.toBe(credential);
  });

  it('is in the token of its tenant', () => {
    expect(bindingToken(tenant, CREDENTIAL)).toBe(`team/acme:${CREDENTIAL}`);
    expect(credentialIn(bindingToken(tenant, CREDENTIAL), tenant)).toBe(CREDENTIAL);
  });

  it.each([
    ['of another tenant', `team/acme-0:${CREDENTIAL}`],
    ['of another namespace', `other/acme:${CREDENTIAL}`],
    ['with a user', `team/acme/alice:${CREDENTIAL}`],
    ['that is a connection token', TOKEN],
    ['that is empty', ''],
    ['without its prefix', `team/acme:${TOKEN}`],
    ['that was cut', `team/acme:${CREDENTIAL.slice(0, -1)}`],
    ['with more behind it', `team/acme:${CREDENTIAL}\n`],
  ])('is not in a token %s', (_, token) => {
    expect(credentialIn(token, tenant)).toBeUndefined();
  });

  it('is published as its SHA-256: what `printf %s cpg_... | sha256sum` prints', () => {
    expect(credentialHash('cpg_')).toBe('b9d6ec1153c784ac6226ae439c1ee7d1f749d03d20b99f3203b92005c70eb5ea');
  });
});
