/** Decides what becomes of a prompt in a session that several users share: sent as ever, queued, or refused (docs/adr/0059-several-users.md). */
import type { TurnRule } from '../../../api/names.ts';

/** What is known when a prompt comes. */
export interface TurnFacts {
  /** `spec.collaboration.turns`; undefined: the CopilotSession does not say. */
  readonly rule: TurnRule | undefined;
  /** Whose prompt it is; undefined: its client states nobody. */
  readonly user: string | undefined;
  /** Whether a turn runs, or was begun. */
  readonly isTaken: boolean;
  /** Whose turn that is; undefined: it is not known, or nobody's in particular. */
  readonly holder: string | undefined;
}

/** `Send`: as without a rule. `Queue`: it waits, and its client is told its place. `Refuse`: it is not sent. */
export interface TurnUse {
  readonly verdict: 'Send' | 'Queue' | 'Refuse';
  readonly reason: 'NoRule' | 'Free' | 'OwnTurn' | 'UnknownUser' | 'InUse';
  readonly message: string;
}

export function decideTurnUse({ rule, user, isTaken, holder }: TurnFacts): TurnUse {
  if (rule === undefined) return send('NoRule', 'The CopilotSession does not say how users share its turns.');
  if (!isTaken) return send('Free', 'No turn runs.');
  // A turn that began at another home, or by itself: to refuse could lock its own user out.
  if (user === undefined || holder === undefined) {
    return send('UnknownUser', 'It is not known whether the turn that runs is of another user.');
  }
  if (user === holder) return send('OwnTurn', 'The turn that runs is of the same user.');
  return { verdict: rule, reason: 'InUse', message: 'A turn of another user runs.' };
}

function send(reason: TurnUse['reason'], message: string): TurnUse {
  return { verdict: 'Send', reason, message };
}
