/**
 * What a guard understands besides the server's own protocol, and where it listens. The guard is the process in front of the CLI in each
 * pod of a tenant with `topology: SharedStorage` (docs/adr/0061-guard.md).
 *
 * On a connection to a guard `guard.grant {grant}` is called before the first call about a session; it may be sent in the same write.
 * The answer is `{epoch}`: the session is this connection's under that epoch, until a higher one is granted on any connection. A grant
 * of the present epoch may be given again, on the same connection and on others; after an end of the connection it has to be. With another
 * intent only a connection that has the epoch may give it: for any other one it is stale.
 */
import { createHash } from 'node:crypto';
import { isObject } from '../copilot/index.ts';

export const GRANT_METHOD = 'guard.grant';

/** With a grant that is checked and not taken: `{stamps}`, what the guard reads of the session on the shared volume. Earlier guards do not know it. */
export const EPOCHS_METHOD = 'guard.epochs';

/** Where the guard listens for what concerns itself: `/livez`, and `/readyz`, which is 200 while the CLI accepts connections. */
export const GUARD_HEALTH_PORT = 4323;

/** Where the container of a guard has its directories and files. */
export const GuardPath = {
  /** An emptyDir: what it has seen survives its container. */
  state: '/var/lib/copilot-guard',
  /** The shared volume, as the CLI has it at `session-state`. */
  sessions: '/var/lib/copilot-sessions',
  /** The directory of the public keys, and their file in it. */
  keys: '/etc/copilot-guard',
  keyFile: 'grant-keys.pem',
} as const;

/** The directory on the shared volume that has the epochs of all sessions. No session can have this name. */
export const EPOCHS_DIRECTORY = '.copilot-operator/epochs';

/** Where the epochs of a session are. Not its id: file systems that fold case, such as SMB's, would take two for one. */
export function epochsOf(session: string): string {
  const hash = createHash('sha256').update(session).digest('hex');
  return `${EPOCHS_DIRECTORY}/${hash.slice(0, 2)}/${hash.slice(2)}`;
}

/** The code of every error by a guard. The server uses none of this number. */
export const GUARD_ERROR = -32_011;

/** Why a guard refuses a grant or a call: `error.data.rule`. */
export const GUARD_RULES = {
  /** A higher epoch has been seen: `data.epoch`. Who has the lower one is late, or the store has lost its data: the next is `epoch + 1`. */
  StaleEpoch: 'a higher epoch of the session is known',
  /** Another pod, `data.holder`, has the session and has not closed it: close it there under the new epoch, or say that the pod is gone. */
  NotClosed: 'the server that had the session has not closed it',
  /** The connection has no grant for the session, or not this intent. */
  NoGrant: 'the connection has no grant for the call',
  /** The grant is no valid one, or is meant for another pod. */
  BadGrant: 'the grant is not valid here',
  /** A call that no grant permits, because it concerns sessions that it does not name. */
  NotAllowed: 'the call concerns sessions that it does not name',
  /** The frame can't be understood with certainty. */
  Malformed: 'the frame is not a JSON-RPC message with one meaning',
  /** The state directory or the shared volume can't be read or written: try again later. */
  StorageFailed: 'the epoch could not be read or stored',
  /** Too many frames wait for the session: try again later. */
  Busy: 'too many calls wait',
} as const;
export type GuardRule = keyof typeof GUARD_RULES;

/** Who has a session by the epochs on the shared volume. */
export interface EpochHolder {
  /** `namespace/name` of the server. */
  readonly server: string;
  /** UID of its pod. */
  readonly pod: string;
}

/** That a pod took a session under an epoch, as the shared volume has it. */
export interface StampedEpoch extends EpochHolder {
  readonly epoch: number;
  /** It has closed the session under this one; undefined: it has not. */
  readonly closedUnder?: number | undefined;
}

/** What is in the answer to {@link EPOCHS_METHOD}; undefined: it is none of a guard. */
export function stampedEpochs(result: unknown): readonly StampedEpoch[] | undefined {
  const stamps = isObject(result) ? result['stamps'] : undefined;
  return Array.isArray(stamps) && stamps.every(isStamped) ? stamps : undefined;
}

function isStamped(value: unknown): value is StampedEpoch {
  if (!isObject(value)) return false;
  const { server, pod, epoch, closedUnder } = value;
  const isClosed = closedUnder === undefined || Number.isSafeInteger(closedUnder);
  return typeof server === 'string' && typeof pod === 'string' && Number.isSafeInteger(epoch) && isClosed;
}

/** `error.data` of a guard. */
export interface GuardErrorData {
  readonly rule: GuardRule;
  /** The highest epoch of the session that is known. */
  readonly epoch?: number | undefined;
  readonly holder?: EpochHolder | undefined;
}

/** What an error answer says about a guard's refusal; undefined: it is not one by a guard. */
export function guardRefusal(error: { readonly code: number; readonly data?: unknown }): GuardErrorData | undefined {
  if (error.code !== GUARD_ERROR || !isObject(error.data)) return undefined;
  const { rule, epoch, holder } = error.data;
  if (typeof rule !== 'string' || !Object.hasOwn(GUARD_RULES, rule)) return undefined;
  const { server, pod } = isObject(holder) ? holder : {};
  return {
    rule: rule as GuardRule,
    ...(typeof epoch === 'number' && { epoch }),
    ...(typeof server === 'string' && typeof pod === 'string' && { holder: { server, pod } }),
  };
}
