import { describe, expect, it } from '@jest/globals';
import { isBindingCredential, isListed } from '../../../../src/gateway/admission/binding-credential.ts';
import { credentialHash, isCredential } from '../../../../src/resources/binding.ts';

const credential = `cpg_${'a'.repeat(43)}`;
const hash = credentialHash(credential);
const other = credentialHash(`cpg_${'b'.repeat(43)}`);

describe('a binding credential', () => {
  it('is listed under its SHA-256', () => {
    // What `sha256sum` says.
    expect(hash).toBe('c1cf37ddbb3b7995c0f25a0aec94e771e4c2a81b8eac38219ad4537875b6e972');
    expect(isListed(hash, [hash])).toBe(true);
    expect(isListed(hash, [other, hash])).toBe(true);
    expect(isListed(hash, [hash, other])).toBe(true);
    expect(isListed(hash, [other, other, hash])).toBe(true);
  });

  it.each([
    ['no hash', []],
    ['another hash', [other]],
    ['the credential itself', [credential]],
    ['the hash in upper case', [hash.toUpperCase()]],
    ['a shortened hash', [hash.slice(0, 40)]],
    ['an empty hash', ['']],
    ['a hash of zeros', ['0'.repeat(64)]],
  ])('is not listed where there is %s', (_, hashes) => {
    expect(isListed(hash, hashes)).toBe(false);
  });

  it('is no hash that is malformed, even where that stands in the list', () => {
    expect(isListed('', [''])).toBe(false);
    expect(isListed('zz', ['zz'])).toBe(false);
    expect(isListed('0'.repeat(64), [])).toBe(false);
  });

  it('is known by its prefix, and well-formed with 256 bit behind it', () => {
    expect(isBindingCredential('cpg_short')).toBe(true);
    expect(isCredential('cpg_short')).toBe(false);
    expect(isCredential(credential)).toBe(true);
    expect(isCredential(`${credential}a`)).toBe(false);
    expect(isCredential(`cpg_${'!'.repeat(43)}`)).toBe(false);
    expect(isBindingCredential('eyJhbGciOi.x.y')).toBe(false);
  });
});
