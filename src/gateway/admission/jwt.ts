/** What a JSON Web Token says of itself. Nothing of it is proven. */

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
