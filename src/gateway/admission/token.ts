/** The token that clients present: `<namespace>/<tenant>[/<user>]:<credential>`. */
import type { TenantRef } from '../model.ts';

/** A token, taken apart. Nothing of it is proven yet. */
export interface ClientToken {
  readonly tenant: TenantRef;
  /** Undefined: none is stated. */
  readonly user: string | undefined;
  readonly credential: string;
}

/** What is wrong with a token, without any part of it. */
export interface TokenProblem {
  readonly problem: string;
}

/** More than any credential needs: an OIDC token with a hundred groups has 8 KiB. */
export const MAX_TOKEN_LENGTH = 16 * 1024;
const MAX_USER_LENGTH = 256;

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;
const MAX_NAME_LENGTH = 253;
/** RFC 3986: what needs no encoding, and the encoding of a byte. */
const ENCODED = /^(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+$/;
const ENCODED_BYTE = /%[0-9A-Fa-f]{2}/;
const CREDENTIAL = /^[\x21-\x7e]+$/;
// Control characters, and those that make a name look like another one in a log.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Takes a token apart; strict, so that no two tokens that differ mean the same user in one place and not in another. */
export function parseToken(token: unknown): ClientToken | TokenProblem {
  if (typeof token !== 'string') return wrong('the token is not a string');
  if (token === '') return wrong('the token is empty');
  if (token.length > MAX_TOKEN_LENGTH) return wrong(`the token is longer than ${MAX_TOKEN_LENGTH} characters`);
  const colon = token.indexOf(':');
  if (colon === -1) return wrong('the token has no ":" between tenant and credential');
  const parts = token.slice(0, colon).split('/');
  const credential = token.slice(colon + 1);
  if (parts.length < 2 || parts.length > 3) {
    return wrong(`${parts.length} parts stand before the ":" of the token instead of namespace, tenant and user`);
  }
  const [namespace = '', name = '', encoded] = parts;
  if (!NAMESPACE.test(namespace)) return wrong('the namespace in the token is not the name of a namespace');
  if (!NAME.test(name) || name.length > MAX_NAME_LENGTH)
    return wrong('the tenant in the token is not the name of a tenant');
  if (!CREDENTIAL.test(credential)) {
    return wrong('the credential in the token is empty or has characters that are not visible ASCII');
  }
  const tenant = { namespace, name };
  if (encoded === undefined) return { tenant, user: undefined, credential };
  const user = decodeUser(encoded);
  return typeof user === 'string' ? { tenant, user, credential } : user;
}

function decodeUser(encoded: string): string | TokenProblem {
  if (!ENCODED.test(encoded)) return wrong('the user in the token is empty or not percent-encoded');
  let user: string;
  try {
    user = decodeURIComponent(encoded);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return wrong('the user in the token is not percent-encoded UTF-8');
  }
  if (ENCODED_BYTE.test(user)) return wrong('the user in the token is percent-encoded twice');
  const problem = userProblem(user);
  return problem === undefined ? user : wrong(`the user in the token ${problem}`);
}

/** What is wrong with the name of a user, as the end of a sentence and without the name; undefined: nothing. */
export function userProblem(user: string): string | undefined {
  if (UNSEEN.test(user)) return 'has characters that cannot be seen';
  if (user.trim() !== user) return 'begins or ends with a space';
  return user.length > MAX_USER_LENGTH ? `is longer than ${MAX_USER_LENGTH} characters` : undefined;
}

function wrong(problem: string): TokenProblem {
  return { problem };
}
