/** What the relay tells whoever counts: traffic with servers, turns, and what became of calls that did not just pass. */
import type { UnhealthyReason } from '../../copilot/index.ts';

/** Why a connection to a server ended: what the server did, or the pod was replaced, or this side had no more use for it. */
export type ServerEnd = UnhealthyReason | 'Replaced' | 'Closed';
export const SERVER_ENDS: readonly ServerEnd[] = [
  'Unreachable',
  'AuthFailed',
  'Timeout',
  'ProtocolError',
  'Replaced',
  'Closed',
];

/** How a turn ended: the server was idle again, it was lost, or the session was closed or deleted. */
export const TURN_ENDS = ['Finished', 'ServerLost', 'SessionClosed', 'SessionDeleted'] as const;
export type TurnEnd = (typeof TURN_ENDS)[number];

/** How it went to restore the sessions of a lost server: all, some or none of them were. */
export const FAILOVER_RESULTS = ['Restored', 'PartlyRestored', 'Failed'] as const;
export type FailoverResult = (typeof FAILOVER_RESULTS)[number];

/**
 * What became of a session of a lost server: nothing ran; its turn is over; it runs on by itself, or was begun again; a prompt of it had to
 * be sent again; it could not be restored.
 */
export const RESTORE_RESULTS = ['Idle', 'Finished', 'Running', 'Continued', 'SentAgain', 'Failed'] as const;
export type RestoreResult = (typeof RESTORE_RESULTS)[number];

/** What became of a prompt that had to wait for another client's turn; `TooMany`: it could not even wait. `Cancelled`: its client took it back. */
export const HELD_ENDS = [
  'Sent',
  'TooMany',
  'ClientGone',
  'Cancelled',
  'ServerLost',
  'SessionClosed',
  'SessionDeleted',
] as const;
export type HeldEnd = (typeof HELD_ENDS)[number];

/** What became of a prompt that had to wait for one of the turns that its server may run at once; `TooMany`: it could not even wait. */
export const QUEUE_ENDS = ['Sent', 'TooMany', 'ClientGone', 'Cut'] as const;
export type QueueEnd = (typeof QUEUE_ENDS)[number];

/** How the drain of a server ended: its turns had ended, the deadline cut them, or the server is to stay after all. */
export const DRAIN_ENDS = ['Finished', 'DeadlinePassed', 'Withdrawn'] as const;
export type DrainEnd = (typeof DRAIN_ENDS)[number];

/** What became of a call that waited for a tenant that sleeps. */
export const WAKE_ENDS = ['Woken', 'Failed', 'TimedOut', 'ClientGone'] as const;
export type WakeEnd = (typeof WAKE_ENDS)[number];

/**
 * Why the relay refuses a call whose method is allowed: it is malformed, or its id is in use; the client has too many that
 * wait, or too many sessions; too many prompts wait for a turn; the session cannot be loaded as its clients had set it up; the login of
 * the tenant's model cannot be read; the user has as many sessions as it may have; all sessions that its server may have in memory are in use; too many prompts wait for one of the turns of its server; the turn of another user runs; the tenant is paused; the gateway has no room for more of the tenant; the tenant sleeps, and the call does not wake it, or nothing does; another server may have the session in memory; the coordination store is away; there is no server now.
 */
export const CALL_REFUSALS = [
  'Invalid',
  'TooManyCalls',
  'TooManySessions',
  'TooManyPrompts',
  'NotRestored',
  'ModelUnavailable',
  'UserFull',
  'SessionsFull',
  'TurnsFull',
  'SessionInUse',
  'TenantPaused',
  'MemoryLimit',
  'Asleep',
  'Fenced',
  'CoordinationAway',
  'Unavailable',
] as const;
export type CallRefusal = (typeof CALL_REFUSALS)[number];

/** Whether all servers of a tenant answered that were asked the same; `Away`: one of them did not in time. */
export const SEARCH_ENDS = ['Answered', 'Away'] as const;
export type SearchEnd = (typeof SEARCH_ENDS)[number];

/** Told in the middle of the work, some of it for each frame: it must be quick, and must not throw. */
export interface RelayObserver {
  /** A frame of a server has arrived. `bytes`: of its body. */
  serverReceived(bytes: number, frames: number): void;
  /** A frame was written to a server. `bytes`: of its body. */
  serverSent(bytes: number): void;
  /** A frame of a server was skipped because of its size. */
  serverOversize(): void;
  /** An attempt to connect to a server has ended. */
  dialled(result: 'Connected' | ServerEnd): void;
  /** A connection to a server has ended on which clients were served. */
  disconnected(why: ServerEnd): void;
  /** A server that was lost is back, and sessions were restored; `seconds` after it was lost. */
  failedOver(result: FailoverResult, seconds: number): void;
  sessionRestored(result: RestoreResult): void;
  turnEnded(end: TurnEnd): void;
  /** A server to which there was a connection was drained, or is not drained any more. */
  drainEnded(end: DrainEnd): void;
  /** A server has unloaded a session that nobody used, so that it has room for another one. */
  sessionEvicted(): void;
  /** A call waits no longer for a tenant that sleeps, after so long. */
  wakeEnded(end: WakeEnd, seconds: number): void;
  /** A prompt waits no longer for another client's turn. */
  heldEnded(end: HeldEnd): void;
  /** A prompt waits no longer for one of the turns that its server may run at once. */
  turnQueued(end: QueueEnd): void;
  /** A client that reads slowly was not sent a piece of a later event. */
  piecesDropped(count: number): void;
  callRefused(reason: CallRefusal): void;
  /** The servers of a tenant with several were asked for a session, or for all of their sessions. */
  searched(end: SearchEnd): void;
  /** The gateway has answered in place of clients. `asked`: the type of the server's event, or the method of its request. */
  unattended(asked: string): void;
  /** The gateway has answered a hook that no client of the session declares any more: what it is about goes on without it. */
  hookPassed(): void;
}
