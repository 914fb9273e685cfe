/** A client whose home this replica is, whether it is connected here or at a peer. */
import type { Member } from '../members.ts';
import type { ClientWork } from '../model.ts';
import type { LegEnd } from './leg.ts';
import type { Holding } from './messages.ts';

export interface Resident {
  /** Its place among those of its tenant, while this replica is its home; for `Residents` alone. */
  place?: Member<Resident> | undefined;
  /** Resolves when nothing of what is to wait comes any more, or the client is gone. */
  hold(what: Holding): Promise<void>;
  /** This replica is its home no more. */
  leave(end: LegEnd): void;
  /** Whether calls of it are not answered which would have to be answered here. */
  readonly hasCalls: boolean;
}

/** Whether there are calls without an answer that do not go along when the home moves. */
export function hasCalls({ calls, waiting = 0 }: ClientWork = { calls: 0, sessions: 0 }): boolean {
  return calls > waiting;
}
