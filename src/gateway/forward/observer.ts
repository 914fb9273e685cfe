/** What the forwarding of clients tells whoever counts. */

/**
 * Why clients go on at another home: this replica has given their tenant up because it stops, or because it may be taken for dead; or the
 * peer that was the home has given it up, or was lost.
 */
export const CLIENT_MOVES = ['Drained', 'Fenced', 'PeerMoved', 'PeerLost'] as const;
export type ClientMove = (typeof CLIENT_MOVES)[number];

/** Why this replica is the home of a tenant no more; `Unused`: it had neither clients nor sessions. */
export const HOME_ENDS = ['Drained', 'Fenced', 'Unused'] as const;
export type HomeEnd = (typeof HOME_ENDS)[number];

/** What became of a session of a client that goes on at another home. `Lost`: the home has refused it. */
export const RESTORATIONS = ['Restored', 'Lost'] as const;
export type Restoration = (typeof RESTORATIONS)[number];

/** Told in the middle of the work: it must be quick, and must not throw. */
export interface ForwardObserver {
  clientMoved(why: ClientMove): void;
  homeEnded(why: HomeEnd): void;
  sessionRestored(how: Restoration): void;
}
