/** The types that all of this part shares: what stands in a session's way, and what the operator does for it. */
import type { SessionReadyReason, SessionReconcilingReason, SessionStalledReason } from '../api/session-conditions.ts';
import type { Cause } from '../kube/write/conditions.ts';

/** Why a session can't get on by itself: a user has to act. */
export type SessionCause = Cause<SessionStalledReason>;

/** What the operator is doing for a session. */
export type Work = Cause<SessionReconcilingReason>;

/** Why the state of a session can't be observed now. */
export interface Unavailable extends Cause<SessionReadyReason> {
  /** Whether it is expected to pass by itself. */
  readonly passes: boolean;
}
