/** The conditions of a session, each a chain of cases of which the first that holds is told. */
import {
  SessionPhase,
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../../api/session-conditions.ts';
import { verdictFalse, verdictTrue, type Verdict } from '../../kube/write/conditions.ts';
import type { Findings } from '../model.ts';

export function readyVerdict({ deleting, cause, unavailable, phase, server }: Findings): Verdict {
  if (deleting !== undefined) return verdictFalse(SessionReadyReason.Deleting, 'The resource is being deleted.');
  if (cause !== undefined) return verdictFalse(cause.reason, cause.message);
  if (unavailable !== undefined) return verdictFalse(unavailable.reason, unavailable.message);
  return phaseVerdict[phase ?? SessionPhase.Pending](server);
}

const phaseVerdict: Record<SessionPhase, (server: string | undefined) => Verdict> = {
  Pending: () => verdictTrue(SessionReadyReason.AwaitingFirstTurn, 'The id is held; the first turn makes the session.'),
  Idle: (server) => verdictTrue(SessionReadyReason.SessionIdle, `It is on server ${server}, and no turn is running.`),
  Active: (server) => verdictTrue(SessionReadyReason.TurnRunning, `A turn is running on server ${server}.`),
  Expired: () =>
    verdictFalse(
      SessionReadyReason.SessionExpired,
      'Its time was up, and its data was deleted. A new turn under its id begins a new session.',
    ),
  Lost: () =>
    verdictFalse(
      SessionReadyReason.SessionLost,
      'Its data is gone, and the operator did not delete it. A new turn under its id begins a new session.',
    ),
};

export function reconcilingVerdict({ deleting, cause, unavailable, work }: Findings): Verdict {
  // Told with its cause, if there is one: a deletion goes on trying and ends by itself.
  if (deleting !== undefined) return verdictTrue(SessionReconcilingReason.DeletingData, deleting);
  if (cause !== undefined) {
    return verdictFalse(SessionReconcilingReason.Blocked, 'Somebody has to act first; see the condition Stalled.');
  }
  if (unavailable !== undefined) {
    return unavailable.transient
      ? verdictTrue(SessionReconcilingReason.WaitingForTenant, unavailable.message)
      : verdictFalse(
          SessionReconcilingReason.UpToDate,
          'Nothing can be done, and nothing is to be done, until a server runs.',
        );
  }
  if (work !== undefined) return verdictTrue(work.reason, work.message);
  return verdictFalse(SessionReconcilingReason.UpToDate, 'Nothing is left to do.');
}

export function stalledVerdict({ cause }: Findings): Verdict {
  return cause === undefined
    ? verdictFalse(SessionStalledReason.NotStalled, 'Nothing stands in the way.')
    : verdictTrue(cause.reason, cause.message);
}
