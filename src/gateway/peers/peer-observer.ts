/** What is counted of the replicas and their homes. */

/** What came of a claim, or of a question for the home. */
export const CLAIM_RESULTS = ['Here', 'Peer', 'TimedOut'] as const;
export type ClaimResult = (typeof CLAIM_RESULTS)[number];

/** Counts. */
export interface PeerObserver {
  claimed(result: ClaimResult): void;
  fenced(): void;
}
