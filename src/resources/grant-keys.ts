/** The keys that sign grants of sessions, from the Secret that operator and gateway share (key-secret.ts). */
import { createPrivateKey } from 'node:crypto';
import type { NamedKey } from '../kube/types/keys.ts';
import { grantSigner, publicGrantKey, type GrantSigner } from './session-grant.ts';

/** What stands before the seed of an Ed25519 key in PKCS #8 (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Who signs with this key. */
export function grantSignerOf(key: NamedKey): GrantSigner {
  return grantSigner(privateKeyOf(key));
}

/** The public halves of the keys, as guards are given them; undefined: there is none yet. */
export function publicGrantKeys(keys: readonly NamedKey[]): string | undefined {
  return keys.length === 0 ? undefined : keys.map((key) => publicGrantKey(privateKeyOf(key))).join('');
}

/** The Secret has the seed: 32 random bytes, as the other Secrets have them. */
function privateKeyOf({ key }: NamedKey): string {
  const pair = createPrivateKey({ key: Buffer.concat([PKCS8, key]), format: 'der', type: 'pkcs8' });
  return pair.export({ format: 'pem', type: 'pkcs8' }) as string;
}
