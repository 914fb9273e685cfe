/** What the files of the relay share: what clients declare of a session, what they answer, and the bounds of it all. */
import type { AnswerHead, CopilotError } from '../../copilot/index.ts';

/** The params of the `session.create` or `session.resume` with which a client attached itself. */
export type Declaration = Readonly<Record<string, unknown>>;

/** What a client answered to a request of the server. */
export type ClientAnswer =
  { readonly result: unknown } | { readonly error: { readonly code: number; readonly message: string } };

/** How a request to the server ended. */
export type ServerAnswer =
  /** The frame of the answer. The bytes are valid only during the call. */
  | { readonly kind: 'Answer'; readonly body: Buffer; readonly head: AnswerHead }
  /** There is no connection. `sent` is whether the server may have got the request. */
  | { readonly kind: 'Lost'; readonly error: CopilotError; readonly sent: boolean }
  /** It was not sent, because the session would allow more than its clients decided. `why` is for them. */
  | { readonly kind: 'NotRestored'; readonly why: string }
  /** It was not sent, because the session would be without the login of its tenant. `why` is for the client. */
  | { readonly kind: 'NoModel'; readonly why: string }
  /** It was not sent, because it is more than is kept. `why` is for the client. */
  | { readonly kind: 'TooMany'; readonly why: string };

/** A session cannot be loaded again with all that its clients had decided. */
export class NotRestoredError extends Error {}

/** A client, as the sessions that it is attached to see it. */
export interface SessionClient {
  /** Whether its connection has ended: it is attached to nothing any more. */
  readonly isEnded: boolean;
  /** Of its connection. */
  readonly id: number;
  /** Whom it acts for; undefined: for the tenant's application. */
  readonly user?: string | undefined;
  /** Leaves the sessions that are not its user's any more. */
  recheck?(): void;
  /** Sends the body of a frame. `type`: of the event that it is, by which a slow client is spared what it can do without. */
  deliver(body: Buffer | string, type?: string): void;
  /**
   * Sends a request of the server; `answered` is called at most once, and never after the client's end. Returns the function that
   * stops waiting, when the answer counts for nothing any more.
   */
  ask(method: string, params: unknown, answered: (answer: ClientAnswer) => void): () => void;
}

/** The bounds and times of the relay. */
export interface RelayLimits {
  /** Bytes that a client has yet to read, above which it gets no events that are only a part of later ones; default 4 MiB. */
  readonly softQueueBytes: number;
  /** Bytes that a client has yet to read, above which its connection is closed; default 64 MiB. */
  readonly hardQueueBytes: number;
  /** Requests of one client that wait for an answer; default 1024. */
  readonly openRequests: number;
  /** Bytes of their frames together, beyond which no further one is taken; default 64 MiB. */
  readonly openBytes: number;
  /** Sessions that one client is attached to; default 1024. */
  readonly attachedSessions: number;
  /** Prompts of a session that wait for another client's turn; default 64. */
  readonly heldSends: number;
  /** Bytes of them; default 64 MiB. */
  readonly heldSendBytes: number;
  /** Characters of what the clients of a session declare together, as JSON; default 16 Mi. */
  readonly declarationLength: number;
  /** What a session waits for of its clients at once, such as permissions; default 1024. */
  readonly waits: number;
  /** Bytes of the events by which it does, and of the requests of its server to clients, each; default 64 MiB. */
  readonly waitBytes: number;
  /** Requests for a server that is being dialled; default 4096. */
  readonly dialQueue: number;
  /** Bytes of them; default 64 MiB. */
  readonly dialQueueBytes: number;
  /** Largest frame of a server, in bytes; default 64 MiB. */
  readonly serverFrameBytes: number;
  /** Bytes of answers to a server that it has yet to read, above which its connection is closed; default 64 MiB. */
  readonly serverUnreadBytes: number;
  /** Ms from dialling a server to its answer to `connect`; default 5000. */
  readonly dialTimeoutMs: number;
  /** Ms from a failed dial to the next one; requests wait for it; default 250. */
  readonly redialAfterMs: number;
  /** Ms for a call of the gateway's own; default 30,000. */
  readonly callTimeoutMs: number;
  /** Ms for the server to make or resume a session, for which other clients of the session wait; default 2 minutes. */
  readonly attachTimeoutMs: number;
  /** Ms without a client and without work, after which a session is unloaded; default 60,000. */
  readonly detachAfterMs: number;
  /** Ms in which nobody can answer what a session waits for, after which the gateway denies it; default 10 minutes. */
  readonly permissionTimeoutMs: number;
  /** Ms for which the login of a tenant is believed, and after which it is read again for the sessions that have it; default 20,000. */
  readonly modelReadMs: number;
  /** Ms in which a prompt that the server has taken must start a turn, before another client's prompt is sent; default 5000. */
  readonly turnStartMs: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: RelayLimits = {
  softQueueBytes: 4 * MIB,
  hardQueueBytes: 64 * MIB,
  openRequests: 1024,
  openBytes: 64 * MIB,
  attachedSessions: 1024,
  heldSends: 64,
  heldSendBytes: 64 * MIB,
  declarationLength: 16 * MIB,
  waits: 1024,
  waitBytes: 64 * MIB,
  dialQueue: 4096,
  dialQueueBytes: 64 * MIB,
  serverFrameBytes: 64 * MIB,
  serverUnreadBytes: 64 * MIB,
  dialTimeoutMs: 5000,
  redialAfterMs: 250,
  callTimeoutMs: 30_000,
  attachTimeoutMs: 120_000,
  detachAfterMs: 60_000,
  permissionTimeoutMs: 600_000,
  modelReadMs: 20_000,
  turnStartMs: 5000,
};

/** The session that the params of a call or a message name. */
export function sessionIdOf({ sessionId }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof sessionId === 'string' ? sessionId : undefined;
}
