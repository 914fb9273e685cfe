/** What a JSON Web Token says of itself. Nothing of it is proven here. */

/** The claims of a token; undefined for one that is no JWT. Whoever made the token may have written anything there. */
export function unverifiedClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : undefined;
  } catch (error) {
    // Another kind of token, with dots in it.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The last second that a timestamp of Kubernetes can name, ms since the epoch: the end of the year 9999. */
const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

/** When a token with these claims expires, ms since the epoch, and never at a time that no date has; undefined: it does not say. */
export function expiryOf(claims: Readonly<Record<string, unknown>>): number | undefined {
  const seconds = Object.hasOwn(claims, 'exp') ? claims['exp'] : undefined;
  return typeof seconds === 'number' ? Math.min(seconds * 1000, LATEST_MS) : undefined;
}
