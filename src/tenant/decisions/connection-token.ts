/** Decides the connection token of a tenant. */
import type { Secret } from '../../kube/types/builtins.ts';
import { TOKEN_KEY } from '../../resources/names.ts';

/** Bytes of randomness in a connection token. */
export const TOKEN_BYTES = 32;

/** Where the token comes from; only a `Created` token is unknown to running servers. */
export type TokenDecision = {
  readonly reason: 'Kept' | 'Restored' | 'Created';
  readonly message: string;
  readonly token: string;
};

/**
 * The connection token. It is created once. If its Secret was deleted or is invalid, it is restored from the binding Secret,
 * so that neither servers nor clients are affected. A user rotates it by writing another well-formed token to the Secret.
 * Only Secrets that the tenant controls may be passed.
 */
export function connectionToken(
  secrets: { readonly token: Secret | undefined; readonly binding: Secret | undefined },
  randomBytes: (size: number) => Buffer,
): TokenDecision {
  const kept = tokenIn(secrets.token);
  if (kept !== undefined) return { reason: 'Kept', message: 'The token was read from its Secret.', token: kept };
  const restored = tokenIn(secrets.binding);
  if (restored !== undefined) {
    return { reason: 'Restored', message: 'The token was restored from the binding Secret.', token: restored };
  }
  return {
    reason: 'Created',
    message: 'The token was generated.',
    token: randomBytes(TOKEN_BYTES).toString('base64url'),
  };
}

function tokenIn(secret: Secret | undefined): string | undefined {
  const token = Buffer.from(secret?.data?.[TOKEN_KEY] ?? '', 'base64').toString();
  return /^[\w-]{43}$/.test(token) ? token : undefined;
}
