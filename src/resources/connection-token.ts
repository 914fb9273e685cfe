/** The connection token of a tenant's servers, as it is in its Secret: the operator writes it, the gateway reads it too. */
import type { Secret } from '../kube/types/builtins.ts';
import { TOKEN_KEY } from './names.ts';

/** What a Secret has as token, of whatever kind; empty if it has none. */
export function tokenText(secret: Secret | undefined): string {
  return Buffer.from(secret?.data?.[TOKEN_KEY] ?? '', 'base64').toString();
}

/** The token in a Secret; undefined if it has none, or a malformed one. */
export function tokenIn(secret: Secret | undefined): string | undefined {
  const token = tokenText(secret);
  return /^[\w-]{43}$/.test(token) ? token : undefined;
}
