/** The conditions of a session, each a chain of cases of which the first that holds is told. */
import {
  SessionPhase,
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../../api/session-conditions.ts';
import type { Verdict } from '../../kube/write/conditions.ts';
import type { Cause, Unavailable, Work } from './cause.ts';

/** What the conditions are decided from. */
export interface Findings {
  /** The resource is being deleted; what is told of that. */
  readonly deleting?: string | undefined;
  /** What needs somebody to act first. */
  readonly cause?: Cause | undefined;
  readonly unavailable?: Unavailable | undefined;
  /** Undefined while nothing is known of the session. */
  readonly phase?: SessionPhase | undefined;
  /** Name of the server that it is on. */
  readonly server?: string | undefined;
  readonly work?: Work | undefined;
}

export function readyVerdict({ deleting, cause, unavailable, phase, server }: Findings): Verdict {
  if (deleting !== undefined) return no(SessionReadyReason.Deleting, 'The resource is being deleted.');
  if (cause !== undefined) return no(cause.reason, cause.message);
  if (unavailable !== undefined) return no(unavailable.reason, unavailable.message);
  return phaseVerdict[phase ?? SessionPhase.Pending](server);
}

const phaseVerdict: Record<SessionPhase, (server: string | undefined) => Verdict> = {
  Pending: () => yes(SessionReadyReason.AwaitingFirstTurn, 'The id is held; the first turn makes the session.'),
  Idle: (server) => yes(SessionReadyReason.SessionIdle, `It is on server ${server}, and no turn is running.`),
  Active: (server) => yes(SessionReadyReason.TurnRunning, `A turn is running on server ${server}.`),
  Expired: () =>
    no(
      SessionReadyReason.SessionExpired,
      'Its time was up, and its data was deleted. A new turn under its id begins a new session.',
    ),
  Lost: () =>
    no(
      SessionReadyReason.SessionLost,
      'Its data is gone, and the operator did not delete it. A new turn under its id begins a new session.',
    ),
};

export function reconcilingVerdict({ deleting, cause, unavailable, work }: Findings): Verdict {
  // Told with its cause, if there is one: a deletion goes on trying and ends by itself.
  if (deleting !== undefined) return yes(SessionReconcilingReason.DeletingData, deleting);
  if (cause !== undefined) {
    return no(SessionReconcilingReason.Blocked, 'Somebody has to act first; see the condition Stalled.');
  }
  if (unavailable !== undefined) {
    return unavailable.passes
      ? yes(SessionReconcilingReason.WaitingForTenant, unavailable.message)
      : no(SessionReconcilingReason.UpToDate, 'Nothing can be done, and nothing is to be done, until a server runs.');
  }
  if (work !== undefined) return yes(work.reason, work.message);
  return no(SessionReconcilingReason.UpToDate, 'Nothing is left to do.');
}

export function stalledVerdict({ cause }: Findings): Verdict {
  return cause === undefined
    ? no(SessionStalledReason.NotStalled, 'Nothing stands in the way.')
    : yes(cause.reason, cause.message);
}

function yes(reason: string, message: string): Verdict {
  return { status: 'True', reason, message };
}

function no(reason: string, message: string): Verdict {
  return { status: 'False', reason, message };
}
