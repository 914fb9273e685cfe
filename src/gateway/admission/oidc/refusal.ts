/** What is wrong with a token, in plain words: from the errors of jose. */
import { errors } from 'jose';

const SENTENCES: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'the OIDC token has expired',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature of the OIDC token is wrong',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the OIDC token is signed with an algorithm that signingAlgorithms does not have',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the OIDC token names no key (kid), and its issuer has several',
  ERR_JWS_INVALID: 'the OIDC token is malformed',
  ERR_JWT_INVALID: 'the OIDC token is malformed',
  ERR_JOSE_NOT_SUPPORTED: 'the OIDC token has a header that is not understood',
};
const CLAIMS: Readonly<Record<string, string>> = {
  aud: 'the OIDC token is for none of issuer.audiences',
  nbf: 'the OIDC token is not valid yet',
};

/** Whether the token names a key that is not in the key set. */
export function isKeyMissing(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey;
}

/** Why a token is refused, without any part of it; undefined: the error is not the token's fault, but the issuer's or ours. */
export function refusalOf(error: unknown): string | undefined {
  if (error instanceof errors.JWTClaimValidationFailed) {
    // Which claim was looked at, never what the token has there.
    return CLAIMS[error.claim] ?? `the claim ${error.claim} of the OIDC token is missing or wrong`;
  }
  return error instanceof errors.JOSEError ? SENTENCES[error.code] : undefined;
}
