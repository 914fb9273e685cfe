/** How often keys of issuers are read, for the metrics: apart from what reads them, which only a gateway with OIDC loads. */

/** Counts readings of keys. */
export interface KeyObserver {
  readKeys(result: KeyReadResult): void;
}

/** What came of reading the keys of an issuer. */
export const KEY_READ_RESULTS = ['Succeeded', 'Failed'] as const;
export type KeyReadResult = (typeof KEY_READ_RESULTS)[number];
