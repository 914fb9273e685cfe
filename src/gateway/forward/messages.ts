/**
 * What two replicas say to each other about a client: the holder, to which it is connected, and the home of its tenant. A stream is of one
 * client, and carries its frames beside these messages (docs/adr/0038-clients-at-any-replica.md).
 */
import { ProtocolError, isObject } from '../../copilot/index.ts';
import type { CloseReason, Identity, ToldRules } from '../model.ts';
import type { DeclaredSession } from '../relay/setup/client-state.ts';

/**
 * How the body of each frame of the stream begins: with a message below, with a frame of client or home, or with many frames for the client at
 * once, of which their number in digits and a space come first. They are pieces of events, which nobody on the way looks into.
 */
export const MESSAGE = 'M';
export const FRAME = 'F';
export const RUN = 'R';

/** Of this form of the messages. A home that does not know it refuses the client. */
export const VERSION = 1;

/**
 * What of a client waits at its holder. `Starts`: prompts, and what attaches to sessions; what a running turn waits for goes on. `All`:
 * everything.
 */
export type Holding = 'Nothing' | 'Starts' | 'All';

/** Who the client is, as its holder found out, and vouches for. The first message of the stream. */
export interface ClientMessage {
  readonly type: 'Client';
  readonly version: number;
  /** Of its connection at the holder. */
  readonly id: string;
  readonly identity: Identity;
  /** Of the tenant that it was admitted to. */
  readonly uid: string | undefined;
  readonly isolation: string | undefined;
  /** The last number of a request of a server that it may still answer. */
  readonly askedBefore: number;
  /** Its holder says by `Before` what it was in the middle of; one of an earlier version does not, and tells its client that it was cut. */
  readonly takesOver?: boolean;
  /** Its holder takes many frames at once; one of an earlier version does not. */
  readonly takesRuns?: boolean;
}

export type HolderMessage =
  | ClientMessage
  /** The client is about to attach to this session, in which it was in the middle of something at the home before. */
  | { readonly type: 'Before'; readonly session: DeclaredSession }
  /** The client has read so many bytes of frames, of all. */
  | { readonly type: 'Read'; readonly bytes: number }
  /** What was to wait waits: no such frame follows this message. */
  | { readonly type: 'Holds'; readonly what: Holding }
  /** The connection of the client has ended. */
  | ({ readonly type: 'Ended' } & CloseReason);

export type HomeMessage =
  /** The client is attached. `takesOver`: what it was in the middle of can go on here; one of an earlier version cannot do that. */
  | { readonly type: 'Accepted'; readonly takesOver?: boolean }
  /** A session of the client was told these calls, by any client: the next home is to be told them, too. */
  | ({ readonly type: 'Told' } & ToldRules)
  /** Another replica is the home. */
  | { readonly type: 'NotHome' }
  /** It cannot be said now: try again. */
  | { readonly type: 'Refused'; readonly message: string }
  /** The client is not to be read, until `Resume`: the server does not read as fast. */
  | { readonly type: 'Pause' }
  | { readonly type: 'Resume' }
  | { readonly type: 'Hold'; readonly what: Holding }
  /** This is the home no more. What was sent before is answered, unless it took too long. */
  | { readonly type: 'Moved' }
  /** The connection of the client is to be closed. */
  | ({ readonly type: 'Close' } & CloseReason);

/**
 * Reads the body of a message without its beginning. One of a type that is not known here is the other side's affair.
 * @throws ProtocolError
 */
export function readMessage(body: Buffer): HolderMessage | HomeMessage {
  const message: unknown = JSON.parse(body.toString());
  if (!isObject(message) || typeof message['type'] !== 'string')
    throw new ProtocolError('expected a message of a peer');
  return message as unknown as HolderMessage | HomeMessage;
}

/** Whether a message can be that of a client. Only its form is looked at: peers have proved who they are. */
export function isClientMessage(message: HolderMessage): message is ClientMessage {
  if (message.type !== 'Client' || message.version !== VERSION) return false;
  const { identity } = message;
  return isObject(identity) && isObject(identity.tenant) && typeof message.id === 'string';
}
