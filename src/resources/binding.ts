/** The token that a tenant's clients present to the gateway: the operator writes it to the binding Secret, the gateway reads it. */
import { hash } from 'node:crypto';
import { CREDENTIAL_PREFIX } from '../api/names.ts';
import type { Secret } from '../kube/types/builtins.ts';
import { keyOf, type KubeObject } from '../kube/types/types.ts';

/** Bytes of randomness in a binding credential. */
const CREDENTIAL_BYTES = 32;
const CREDENTIAL = new RegExp(`^${CREDENTIAL_PREFIX}[\\w-]{43}$`);

/** Key of the binding Secret that is there, with the value `Gateway`, while sessions get the login of their model from the gateway. */
export const INJECTION_KEY = 'model-injection';

/** Whether the binding Secret says that. */
export function isInjecting({ data }: Secret): boolean {
  return Buffer.from(data?.[INJECTION_KEY] ?? '', 'base64').toString() === 'Gateway';
}

/** A new binding credential. `randomBytes` must be cryptographically secure. */
export function newCredential(randomBytes: (size: number) => Buffer): string {
  return `${CREDENTIAL_PREFIX}${randomBytes(CREDENTIAL_BYTES).toString('base64url')}`;
}

/** Whether a text has the form of a binding credential. */
export function isCredential(text: string): boolean {
  return CREDENTIAL.test(text);
}

/** The token with a binding credential of the tenant, as it is in the Secret. */
export function bindingToken(tenant: KubeObject, credential: string): string {
  return `${tokenStart(tenant)}${credential}`;
}

/** The binding credential in a token of this tenant; undefined: it is another tenant's, of another kind, or malformed. */
export function credentialIn(token: string, tenant: KubeObject): string | undefined {
  const start = tokenStart(tenant);
  const credential = token.startsWith(start) ? token.slice(start.length) : '';
  return isCredential(credential) ? credential : undefined;
}

/**
 * What the status has of a credential: its SHA-256 in hexadecimal, prefix included. Without salt or stretching, because 256 random bits
 * cannot be guessed.
 */
export function credentialHash(credential: string): string {
  return hash('sha256', credential, 'hex');
}

function tokenStart(tenant: KubeObject): string {
  return `${keyOf(tenant)}:`;
}
