/** What a replica knows of the others and of homes, as plain data: the protocol is functions of it, without I/O and without a clock. */
import type { Ask, MemberInfo, Message } from './messages.ts';

/** Times of the protocol, ms. */
export const TIMES = {
  /** A Lease that was not seen to change for so long may be deleted, and so long a promise binds who made it. */
  lease: 15_000,
  /** A replica acts by a renewal, or by promises, so long. Shorter than the Lease: clocks may run at slightly different speeds. */
  act: 10_000,
  /** Between renewals of the Lease. */
  renew: 5_000,
  /** Between heartbeats, after which questions without an answer are asked again, too. */
  heartbeat: 2_000,
  /** In which a replica that was just heard of must answer the first heartbeat. */
  grace: 5_000,
  /** After which a search for a home does not wait any more for those that do not answer. */
  locate: 500,
  /** How long others are told of the death of a replica. */
  tellOfDeath: 600_000,
} as const;

/** A Lease as it was read. */
export interface SeenLease extends MemberInfo {
  /** `id` is empty if the holder has released it. */
  readonly isDraining: boolean;
  /** Changes with each renewal, and with nothing else. */
  readonly sign: string;
  /** Precondition of its deletion. */
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Another replica that may be alive. Times are of the monotonic clock, ms. */
export interface Member extends MemberInfo {
  isDraining: boolean;
  /** Undefined: it was heard of by peers only, or its Lease was deleted. */
  seen: SeenLease | undefined;
  /** Its Lease was looked for and not found, for the first time at `quietSince`. */
  isAbsent: boolean;
  /** Since when neither a renewal nor a deletion of its Lease was seen. */
  quietSince: number;
  /** When this replica last promised not to take it for dead; -Infinity: never. */
  promisedAt: number;
  /** When the last heartbeat was sent that it has answered with that promise. */
  ackedAt: number;
  /** When it was first heard of. */
  readonly learnedAt: number;
  /** It is being looked up whether its Lease can be deleted. Meanwhile it is promised nothing. */
  isExpiring: boolean;
  /** A peer has found it dead: it is promised nothing any more, and dead here when the last promise is over. */
  isCondemned: boolean;
}

/** What a member has answered to a question. */
export interface Answered {
  readonly answer: 'Held' | 'Claiming' | 'Granted' | 'Free';
  /** The ids that it takes for alive. */
  readonly alive: readonly string[];
}

/** A home that is looked for, because clients wait for it. */
export interface Search {
  /** Of this attempt: answers to earlier ones count for nothing. */
  nonce: number;
  intent: Ask['intent'];
  /** Monotonic ms. */
  since: number;
  readonly asked: Set<string>;
  readonly answers: Map<string, Answered>;
}

/** All that a replica knows. Tenants are `namespace/name`. */
export interface State {
  self: MemberInfo;
  /** When this replica took its id, monotonic ms: answers to heartbeats before that were given to another id. */
  selfSince: number;
  /** Its Lease exists, and all that were created before it are known. */
  isJoined: boolean;
  /** When the last renewal was sent that succeeded, monotonic ms; -Infinity: never. */
  renewedAt: number;
  /** It was allowed to act when it was last looked, and has not been fenced since. */
  isActing: boolean;
  isDraining: boolean;
  /** When this process last had its turn, monotonic ms: it was not paused since. */
  tickedAt: number;
  heartbeatAt: number;
  lastNonce: number;
  readonly members: Map<string, Member>;
  /** Ids that are dead for ever, and since when. */
  readonly dead: Map<string, number>;
  /** Tenants whose home this replica is. */
  readonly held: Set<string>;
  readonly searches: Map<string, Search>;
  /** Homes of other tenants, as they were last heard of. */
  readonly learned: Map<string, string>;
}

/** What is to be done after a step, in this order. */
export type Effect =
  | { readonly kind: 'Send'; readonly to: string; readonly message: Message }
  /** Delete the Lease if it has not changed, and look whether it exists if it was not seen. */
  | { readonly kind: 'Expire'; readonly member: MemberInfo; readonly seen: SeenLease | undefined }
  | { readonly kind: 'Decided'; readonly tenant: string; readonly home: string }
  | { readonly kind: 'Fenced' }
  | { readonly kind: 'Gone'; readonly id: string }
  /** Others may take this id for dead for ever: another one has to be taken. */
  | { readonly kind: 'Lost' };

/** Of a replica that has just started. */
export function initialState(self: MemberInfo, now: number): State {
  return {
    self,
    selfSince: now,
    isJoined: false,
    renewedAt: -Infinity,
    isActing: false,
    isDraining: false,
    tickedAt: now,
    heartbeatAt: -Infinity,
    lastNonce: 0,
    members: new Map(),
    dead: new Map(),
    held: new Set(),
    searches: new Map(),
    learned: new Map(),
  };
}
