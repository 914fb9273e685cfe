/** Decides which session a server unloads, so that another one has room in its memory (docs/adr/0048-vertical-limits.md). */

/** A session that a server has in memory, or is about to have again. */
export interface PlacedSession {
  /** Whether something of it is under way: a turn, a call, or a question to its clients. */
  readonly isInUse: boolean;
  /** Clients that are attached to it. */
  readonly clientCount: number;
  /** When a client used it last, or its last turn ended; monotonic ms. */
  readonly lastUsed: number;
}

/** What is to be done for one more session. */
export type EvictionVerdict<S> =
  /** There is room. */
  | { readonly reason: 'Room'; readonly message: string }
  /** This one makes room. */
  | { readonly reason: 'LeastUsed'; readonly message: string; readonly session: S }
  /** None can make room now. */
  | { readonly reason: 'AllInUse'; readonly message: string };

/**
 * The verdict for one more session beside `placed`, of which there may be `max`. One that a client has used within `recentMs` is likely to be used
 * again at once, so it stays as long as a client is attached.
 */
export function chooseEvicted<S extends PlacedSession>(
  placed: readonly S[],
  max: number,
  now: number,
  recentMs: number,
): EvictionVerdict<S> {
  if (placed.length < max) return { reason: 'Room', message: `${placed.length} of ${max} sessions are in memory` };
  const idle = placed.filter(
    ({ isInUse, clientCount, lastUsed }) => !isInUse && (clientCount === 0 || now - lastUsed >= recentMs),
  );
  const [session] = idle.toSorted((a, b) => a.lastUsed - b.lastUsed);
  if (session === undefined)
    return { reason: 'AllInUse', message: `all ${placed.length} sessions in memory are in use, and ${max} may be` };
  return { reason: 'LeastUsed', message: `it was not used for ${Math.round(now - session.lastUsed)} ms`, session };
}
