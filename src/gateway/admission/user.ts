/** Who a token is of, whoever found that out. */

/** A user, as the API server or an issuer knows it. */
export interface KubeUser {
  readonly name: string;
  readonly uid: string | undefined;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
  /** When its token expires, ms since the epoch; undefined: the token does not say. */
  readonly expiresAt: number | undefined;
}

/** Why a token is nobody's. */
export interface Unauthenticated {
  /** For log and audit: without any part of the token. */
  readonly problem: string;
}
