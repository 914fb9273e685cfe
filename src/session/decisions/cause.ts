import type {
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../../api/session-conditions.ts';

/** Why a session cannot get on by itself. */
export interface Cause {
  readonly reason: SessionStalledReason;
  readonly message: string;
}

/** What the operator is busy with for a session. */
export interface Work {
  readonly reason: SessionReconcilingReason;
  readonly message: string;
}

/** Why nothing can be said of a session now. */
export interface Unavailable {
  readonly reason: SessionReadyReason;
  readonly message: string;
  /** Whether it is expected to pass by itself. */
  readonly passes: boolean;
}
