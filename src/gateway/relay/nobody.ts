/**
 * Decides what becomes of a question that no client answers which is attached. Servers go on to ask for hooks, permissions, transforms and tokens of
 * clients that have left, and let none of these be taken back (docs/adr/0053-what-servers-ask.md).
 */

/** A request that no client answers which is attached. */
export interface UnansweredRequest {
  /** A hook may forbid a tool; a person may take its time, and is asked by an event as well. */
  readonly asks: 'Hook' | 'Person' | 'Program';
  /** Whether somebody may come who has declared it, or could when it was asked. */
  readonly isExpected: boolean;
  /** Whether others are attached. */
  readonly hasOthers: boolean;
  /** Whether its turn is being aborted. */
  readonly isAborted: boolean;
}

/** What becomes of it: it is held for who may come, answered as one that nobody answered, or, of hooks, answered with no opinion. */
export interface NobodyDecision {
  readonly action: 'Hold' | 'GiveUp' | 'Pass';
  readonly reason: 'Aborted' | 'MayCome' | 'LeftInTurn' | 'NobodyDeclares';
  readonly message: string;
}

/** Decides that. */
export function decideNobody({ asks, isExpected, hasOthers, isAborted }: UnansweredRequest): NobodyDecision {
  if (isAborted) {
    return { action: 'GiveUp', reason: 'Aborted', message: 'The turn is aborted, and the server waits for this.' };
  }
  if (asks !== 'Person' && !isExpected && (asks === 'Hook' || hasOthers)) {
    const message = 'The server asks what no client of the session declares any more, so nobody is waited for.';
    return { action: asks === 'Hook' ? 'Pass' : 'GiveUp', reason: 'NobodyDeclares', message };
  }
  if (asks === 'Hook' && hasOthers) {
    const message = 'The client that declared hooks has left in the turn, so what they decide on is denied.';
    return { action: 'GiveUp', reason: 'LeftInTurn', message };
  }
  return { action: 'Hold', reason: 'MayCome', message: 'A client may come that answers this.' };
}
