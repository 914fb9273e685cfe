/** The types that all of this part shares: what is observed of a session, what is reported of it, and how its data is removed. */
import type {
  SessionPhase,
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../api/session-conditions.ts';
import type { Cause } from '../kube/write/conditions.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { Limitation, ServerSessions, SessionFacts } from '../servers/survey/sessions.ts';

/** Why a user has to act before a session can become Ready. */
export type SessionCause = Cause<SessionStalledReason>;

/** What the operator is doing for a session. */
export type Work = Cause<SessionReconcilingReason>;

/** Why the state of a session can't be observed now. */
export interface Unavailable extends Cause<SessionReadyReason> {
  /** Whether it is expected to pass without a change of the spec. */
  readonly transient: boolean;
}

/**
 * Whether a process may write to a server's volume. `Expected`: the server is meant to run. `Stopping`: it is not, and its pod may
 * still exist. `Stopped`: none does, because none is meant to run or its container can't.
 */
export type ServerRunState = 'Expected' | 'Stopping' | 'Stopped';

/** The volume of a server. */
export interface VolumeView {
  /** Name of its claim. */
  readonly claim: string;
  /** Index in the names of Jobs that work on it. */
  readonly index: number;
}

/** A server of the tenant, as far as it matters to a session. */
export interface ServerView {
  readonly index: number;
  readonly name: string;
  /** Its key in the SessionSource. */
  readonly key: string;
  /** Where its sessions are: its own volume, or that of all servers of the tenant. */
  readonly volume: VolumeView;
  readonly runState: ServerRunState;
  /** Beyond `spec.replicas`: it was scaled down, and only its volume may still exist. */
  readonly surplus: boolean;
  /** Its last answer; undefined while it does not answer, or can't list its sessions. */
  readonly answer: ServerSessions | undefined;
  /** What it can't do. */
  readonly limitations: readonly Limitation[];
}

/** Where a session is, and what its server reports of it. */
export interface Located {
  readonly server: ServerView;
  readonly facts: SessionFacts;
}

/**
 * The owner of the data under a session's id. `Own`: that of the resource, or none, or there is no data. `Another`: another owner is
 * stored with it. `Unread`: the stored owner was not read yet.
 */
export type Ownership = 'Own' | 'Another' | 'Unread';

/** What a reconcile has observed of a session that holds its id. */
export interface Observation {
  readonly session: CopilotSession;
  readonly tenant: CopilotTenant;
  /** Undefined when no server has it. */
  readonly located: Located | undefined;
  /** Name of the server that has it, of several that share a volume; undefined: that of `located`. */
  readonly place: string | undefined;
  /** Names of all servers that have data under its id. */
  readonly copies: readonly string[];
  /** There is a copy on the volume of a server that does not answer, besides that on another server. */
  readonly kept?: SessionCause | undefined;
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
  /** The resource is being deleted; what is reported of that. */
  readonly deleting?: string | undefined;
  /** Why a user has to act first. */
  readonly cause?: SessionCause | undefined;
  readonly unavailable?: Unavailable | undefined;
  /** Undefined while nothing is known of the session. */
  readonly phase?: SessionPhase | undefined;
  /** Name of the server that it is on. */
  readonly server?: string | undefined;
  readonly work?: Work | undefined;
}

/** The result of an attempt to remove a session's data. Done when nothing is pending. */
export interface Removal {
  /** There was data, and it is removed. */
  readonly deleted: boolean;
  /** What is not removed yet, in sentences. */
  readonly pending: readonly string[];
  /** What can't be removed at all, in sentences. */
  readonly leftBehind: readonly string[];
  /** What deleted data left on a volume that no sweep was requested for yet, in sentences. */
  readonly unswept: readonly string[];
  /** The data has another owner and stays. */
  readonly ownedByAnother: boolean;
  /** What is pending is not given up before, ms since the epoch: it waits for its turn. */
  readonly until?: number | undefined;
  /** A server has to answer once more first, which takes a moment. */
  readonly refreshing?: boolean | undefined;
  /** Key of the server that has the session, of several that share a volume. */
  readonly heldBy?: string | undefined;
  readonly cause?: SessionCause | undefined;
}

/** What came of the removal from several servers. */
export function mergedRemoval(removals: readonly Removal[]): Removal {
  return {
    deleted: removals.some(({ deleted }) => deleted),
    pending: removals.flatMap(({ pending }) => pending),
    leftBehind: removals.flatMap(({ leftBehind }) => leftBehind),
    unswept: removals.flatMap(({ unswept }) => unswept),
    ownedByAnother: removals.some(({ ownedByAnother }) => ownedByAnother),
    until: removals.find(({ until }) => until !== undefined)?.until,
    refreshing: removals.some(({ refreshing }) => refreshing === true),
    cause: removals.find(({ cause }) => cause !== undefined)?.cause,
  };
}

/** A removal without anything to remove. */
export const EMPTY_REMOVAL: Removal = {
  deleted: false,
  pending: [],
  leftBehind: [],
  unswept: [],
  ownedByAnother: false,
};

/** The configuration that the sessions' Jobs depend on. Fixed while the process runs. */
export interface SessionOperatorFacts {
  /** The operator's own image, with the command `cleanup` in it; undefined when the flag is not set, as with an older chart. */
  readonly operatorImage: string | undefined;
}
