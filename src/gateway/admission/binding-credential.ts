/** The credential that the operator makes for the applications of a tenant. The gateway knows only its SHA-256. */
import { timingSafeEqual } from 'node:crypto';
import { CREDENTIAL_PREFIX } from '../../api/names.ts';

const SHA256 = /^[0-9a-f]{64}$/;
/** While one is rotated there are two. */
const COMPARED = 2;
/** Compared with where there is no second one. */
const NONE = Buffer.alloc(32);

/** Whether a credential claims to be one of a binding, well-formed or not: then it is never sent to anybody who reviews other tokens. */
export function isBindingCredential(credential: string): boolean {
  return credential.startsWith(CREDENTIAL_PREFIX);
}

/**
 * Whether a credential with this hash is one of `hashes`. It takes the same time for a tenant that has one, two or none, whether or
 * not one matches.
 */
export function isListed(hash: string, hashes: readonly string[]): boolean {
  if (!SHA256.test(hash)) return false;
  const found = Buffer.from(hash, 'hex');
  let matches = false;
  for (let slot = 0; slot < Math.max(COMPARED, hashes.length); slot += 1) {
    const listed = hashes[slot];
    const isHash = listed !== undefined && SHA256.test(listed);
    const isEqual = timingSafeEqual(found, isHash ? Buffer.from(listed, 'hex') : NONE);
    matches = (isEqual && isHash) || matches;
  }
  return matches;
}
