/** The conditions of a session, each a chain of cases, where the first that holds is reported. */
import {
  SessionPhase,
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../../api/session-conditions.ts';
import { verdictFalse, verdictTrue, type Verdict } from '../../kube/write/conditions.ts';
import type { Findings } from '../model.ts';

/** Whether a client can use the session now. */
export function readyVerdict({ deleting, cause, unavailable, phase, server }: Findings): Verdict {
  if (deleting !== undefined) return verdictFalse(SessionReadyReason.Deleting, 'The CopilotSession is being deleted.');
  if (cause !== undefined) return verdictFalse(cause.reason, cause.message);
  if (unavailable !== undefined) return verdictFalse(unavailable.reason, unavailable.message);
  return phaseVerdict[phase ?? SessionPhase.Pending](server);
}

const phaseVerdict: Record<SessionPhase, (server: string | undefined) => Verdict> = {
  Pending: () =>
    verdictTrue(
      SessionReadyReason.AwaitingFirstTurn,
      'The session id is reserved; the first turn creates the session.',
    ),
  Idle: (server) =>
    verdictTrue(SessionReadyReason.SessionIdle, `The session is on server ${server}; no turn is running.`),
  Active: (server) => verdictTrue(SessionReadyReason.TurnRunning, `A turn is running on server ${server}.`),
  Expired: () =>
    verdictFalse(
      SessionReadyReason.SessionExpired,
      'The time to live of the session has passed, and its data was deleted. A new turn under its id starts a new session.',
    ),
  Lost: () =>
    verdictFalse(
      SessionReadyReason.SessionLost,
      'The data of the session is gone, and the operator did not delete it. A new turn under its id starts a new session.',
    ),
};

/** Whether the operator is working on the session. */
export function reconcilingVerdict({ deleting, cause, unavailable, work }: Findings): Verdict {
  // Even with a cause: a deletion is retried and ends at its deadline without a user's action.
  if (deleting !== undefined) return verdictTrue(SessionReconcilingReason.DeletingData, deleting);
  if (cause !== undefined) {
    return verdictFalse(SessionReconcilingReason.Blocked, 'User action is required; see the condition Stalled.');
  }
  if (unavailable !== undefined) {
    return unavailable.transient
      ? verdictTrue(SessionReconcilingReason.WaitingForTenant, unavailable.message)
      : verdictFalse(SessionReconcilingReason.UpToDate, 'Nothing to do until the session can be observed.');
  }
  if (work !== undefined) return verdictTrue(work.reason, work.message);
  return verdictFalse(SessionReconcilingReason.UpToDate, 'Nothing to do.');
}

/** Whether a user has to act. */
export function stalledVerdict({ cause }: Findings): Verdict {
  return cause === undefined
    ? verdictFalse(SessionStalledReason.NotStalled, 'No problems detected.')
    : verdictTrue(cause.reason, cause.message);
}
