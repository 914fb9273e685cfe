/** The value of a credential that a user has put into a Secret: the operator judges it, and the gateway reads it too. */
import type { Secret } from '../kube/types/builtins.ts';

/** The value, or what is wrong with it. `Invalid`: it would corrupt a header or an environment variable. */
export type CredentialRead =
  { readonly value: string } | { readonly problem: 'KeyNotFound' | 'ValueEmpty' | 'ValueInvalid' };

/** What a Secret has under `key`. */
export function credentialOf(secret: Secret, key: string): CredentialRead {
  const data = secret.data?.[key];
  if (data === undefined) return { problem: 'KeyNotFound' };
  if (data === '') return { problem: 'ValueEmpty' };
  const value = Buffer.from(data, 'base64').toString('latin1');
  return /^[\x20-\x7e]+$/.test(value) ? { value } : { problem: 'ValueInvalid' };
}
