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

/** What became of a prompt that had to wait for another client's turn; `TooMany`: it could not even wait. */
export const HELD_ENDS = ['Sent', 'TooMany', 'ClientGone', 'ServerLost', 'SessionClosed', 'SessionDeleted'] as const;
export type HeldEnd = (typeof HELD_ENDS)[number];

/**
 * Why the relay refuses a call whose method is allowed: it is malformed, or its id is in use; the client has too many that
 * wait, or too many sessions; too many prompts wait for a turn; the session cannot be loaded as its clients had set it up; the login of
 * the tenant's model cannot be read; there is no server now.
 */
export const CALL_REFUSALS = [
  'Invalid',
  'TooManyCalls',
  'TooManySessions',
  'TooManyPrompts',
  'NotRestored',
  'ModelUnavailable',
  'Unavailable',
] as const;
export type CallRefusal = (typeof CALL_REFUSALS)[number];

/** Told in the middle of the work, some of it for each frame: it must be quick, and must not throw. */
export interface RelayObserver {
  /** A frame of a server has arrived. `bytes`: of its body. */
  serverReceived(bytes: number): void;
  /** A frame was written to a server. `bytes`: of its body. */
  serverSent(bytes: number): void;
  /** A frame of a server was skipped because of its size. */
  serverOversize(): void;
  /** An attempt to connect to a server has ended. */
  dialled(result: 'Connected' | ServerEnd): void;
  /** A connection to a server has ended on which clients were served. */
  disconnected(why: ServerEnd): void;
  turnEnded(end: TurnEnd): void;
  /** A prompt waits no longer for another client's turn. */
  heldEnded(end: HeldEnd): void;
  /** A client that reads slowly was not sent a piece of a later event. */
  pieceDropped(): void;
  callRefused(reason: CallRefusal): void;
  /** The gateway has answered in place of clients. `asked`: the type of the server's event, or the method of its request. */
  unattended(asked: string): void;
}
