/** The types that all of this part shares: what stands in a session's way, and what the operator does for it. */
import type {
  SessionPhase,
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../api/session-conditions.ts';
import type { Cause } from '../kube/write/conditions.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { ServerSessions, SessionFacts } from '../servers/survey/sessions.ts';

/** Why a session can't get on by itself: a user has to act. */
export type SessionCause = Cause<SessionStalledReason>;

/** What the operator is doing for a session. */
export type Work = Cause<SessionReconcilingReason>;

/** Why the state of a session can't be observed now. */
export interface Unavailable extends Cause<SessionReadyReason> {
  /** Whether it is expected to pass by itself. */
  readonly transient: boolean;
}

/**
 * What stands behind a server's name. `Expected`: it is meant to run. `Stopping`: it is not, and its pod may still be there.
 * `Stopped`: no process writes to its volume, because none is meant to or none can run.
 */
export type ServerRunState = 'Expected' | 'Stopping' | 'Stopped';

export interface ServerView {
  readonly index: number;
  readonly name: string;
  /** Its key in the SessionSource. */
  readonly key: string;
  readonly runState: ServerRunState;
  /** Beyond `spec.replicas`: it was scaled away, and only its volume may still be there. */
  readonly surplus: boolean;
  /** Undefined while it can't be asked. */
  readonly answer: ServerSessions | undefined;
}

/** Where a session is, and what its server says of it. */
export interface Located {
  readonly server: ServerView;
  readonly facts: SessionFacts;
}

/**
 * Whose the data under a session's id is. `Own`: the resource's, or nobody's, or there is none. `Another`: another owner is stored
 * beside it. `Unread`: what is stored was not read yet.
 */
export type Ownership = 'Own' | 'Another' | 'Unread';

/** What a reconcile has observed of a session that holds its id. */
export interface Observation {
  readonly session: CopilotSession;
  readonly tenant: CopilotTenant;
  /** Undefined when no server shows it. */
  readonly located: Located | undefined;
  /** The server that has it, or all that may have it. */
  readonly candidates: readonly ServerView[];
  readonly ownership: Ownership;
  readonly unavailable: Unavailable | undefined;
  /** How long a server that does not answer is not reported yet, ms. */
  readonly graceMs: number;
  /** Wall clock, ms. */
  readonly now: number;
}

/** What the conditions are decided from. */
export interface Findings {
  /** The resource is being deleted; what is told of that. */
  readonly deleting?: string | undefined;
  /** What needs somebody to act first. */
  readonly cause?: SessionCause | undefined;
  readonly unavailable?: Unavailable | undefined;
  /** Undefined while nothing is known of the session. */
  readonly phase?: SessionPhase | undefined;
  /** Name of the server that it is on. */
  readonly server?: string | undefined;
  readonly work?: Work | undefined;
}

/** What an attempt came to. Nothing waited for: it is over. */
export interface Removal {
  /** Data was there and is gone. */
  readonly deleted: boolean;
  /** What is not done yet, in sentences. */
  readonly pending: readonly string[];
  /** What can't be done at all, in sentences. */
  readonly leftBehind: readonly string[];
  /** What is left of deleted data and nobody was told to sweep yet, in sentences. */
  readonly unswept: readonly string[];
  /** Data is another owner's and therefore stays. */
  readonly ownedByAnother: boolean;
  readonly cause?: SessionCause | undefined;
}

/** There is nothing to do, or nothing more. */
export const NOTHING_TO_REMOVE: Removal = {
  deleted: false,
  pending: [],
  leftBehind: [],
  unswept: [],
  ownedByAnother: false,
};

/** What the operator was told at its start and the sessions' Jobs depend on. Fixed while the process runs. */
export interface SessionOperatorFacts {
  /** The operator's own image, with the command `cleanup` in it; undefined when it was not told, by an older chart. */
  readonly operatorImage: string | undefined;
}
