/** What the files of the relay share: what clients declare of a session, what they answer, and the bounds of it all. */
import type { AnswerHead, CopilotError, EventRun } from '../../copilot/index.ts';
import { DRAIN_RETURN_MS } from '../../resources/gateway-internal.ts';
import type { ClientId, ToldRules } from '../model.ts';
import type { NobodyDecision } from './nobody.ts';

/** The params of the `session.create` or `session.resume` with which a client attached itself. */
export type Declaration = Readonly<Record<string, unknown>>;

/** What holds the questions of one session needs, whether they come as events or as requests. */
export interface QuestionOptions {
  readonly limit: number;
  readonly maxBytes: number;
  readonly attached: () => Iterable<readonly [SessionClient, Declaration]>;
  /** Calls `fn` when the time is over in which somebody who can answer may come. */
  readonly setDeadline: (fn: () => void) => { cancel(): void };
  /** Calls `fn` when the time is over in which the user of the turn has a question alone. */
  readonly setAlone: (fn: () => void) => { cancel(): void };
  /** Whose turn asks, where users share the session; undefined: that counts for nothing. */
  readonly turnUser: () => string | undefined;
  /** Whether so many bytes more may be kept of the tenant. */
  readonly mayKeep: (bytes: number) => boolean;
  /** Whether somebody may come who has declared one of these. */
  readonly isExpected: (...names: readonly string[]) => boolean;
  /** Something is answered at once although its time is not over. `asked`: the type of the event, or the method of the request. */
  readonly onNobody: (asked: string, why: NobodyDecision) => void;
}

/** What a client answered to a request of the server. */
export type ClientAnswer =
  { readonly result: unknown } | { readonly error: { readonly code: number; readonly message: string } };

/**
 * Why a prompt is not wanted any more that waited: the session was aborted, its client has left the session, or the session was deleted. An
 * application that sent it again by itself would undo that.
 */
export type Withdrawal = 'Aborted' | 'Left' | 'SessionDeleted';

/** How a request to the server ended. */
export type ServerAnswer =
  /** The frame of the answer. The bytes are valid only during the call. */
  | { readonly kind: 'Answer'; readonly body: Buffer; readonly head: AnswerHead }
  /** It is a prompt that was given up on purpose. `sent` is whether the server may have got it. */
  | { readonly kind: 'Withdrawn'; readonly why: Withdrawal; readonly sent: boolean }
  /** There is no connection. `sent` is whether the server may have got the request. */
  | { readonly kind: 'Lost'; readonly error: CopilotError; readonly sent: boolean }
  /** It was not sent, because the server that has its session, or may have it, is away. `why` is for the client. */
  | { readonly kind: 'Away'; readonly why: string }
  /** It was not sent, because another server may have the session in memory. `why` is for the client. */
  | { readonly kind: 'Fenced'; readonly why: string }
  /** It was not sent, because it cannot be found out which server may load the session. `why` is for the client. */
  | { readonly kind: 'CoordinationAway'; readonly why: string }
  /** It was not sent, because the session would allow more than its clients decided. `why` is for them. */
  | { readonly kind: 'NotRestored'; readonly why: string }
  /** It was not sent, because the session would be without the login of its tenant. `why` is for the client. */
  | { readonly kind: 'NoModel'; readonly why: string }
  /** It was not sent, because the user has as many sessions as it may have. */
  | { readonly kind: 'UserFull'; readonly max: number }
  /** It was not sent, because its session is not loaded, and all that may be in the server's memory are in use. */
  | { readonly kind: 'NoPlace'; readonly max: number }
  /** It was not sent, because its server runs as many turns as it may, and as many prompts wait for one as are kept. */
  | { readonly kind: 'TurnsFull'; readonly max: number }
  /** It was not sent, because it is more than is kept. `why` is for the client. */
  | { readonly kind: 'TooMany'; readonly why: string };

/** A session cannot be loaded again with all that its clients had decided. */
export class NotRestoredError extends Error {}

/** Another server may have the session in memory, or it is not known that none has. The message is for clients, and ends no sentence. */
export class FencedError extends Error {}

/** All sessions that a server may have in memory are in use. */
export class NoPlaceError extends Error {
  readonly max: number;

  /** `max`: sessions that it may have in memory. */
  constructor(max: number) {
    super(`all ${max} sessions that the server may have in memory are in use`);
    this.max = max;
  }
}

/** A client, as the sessions that it is attached to see it. */
export interface SessionClient {
  /** Whether its connection has ended: it is attached to nothing any more. */
  readonly isEnded: boolean;
  /** Of its connection. */
  readonly id: ClientId;
  /** Whom it acts for; undefined: for the tenant's application. */
  readonly user?: string | undefined;
  /** Aborts with that. */
  readonly gone?: AbortSignal;
  /** Bytes of its requests that are not answered, also after its end: servers may have them. */
  readonly openBytes?: number;
  /** Somebody has changed what the session allows: whoever holds the client must know it. */
  told?(rules: ToldRules): void;
  /** Leaves the sessions that are not its user's any more. */
  recheck?(): void;
  /** Sends the body of a frame. `type`: of the event that it is, by which a slow client is spared what it can do without. */
  deliver(body: Buffer | string, type?: string): void;
  /** The same with frames that a slow client can do without. */
  deliverPieces(run: EventRun): void;
  /**
   * Sends a request of the server; `answered` is called at most once, and never after the client's end. Returns the function that
   * stops waiting, when the answer counts for nothing any more.
   */
  ask(method: string, params: unknown, answered: (answer: ClientAnswer) => void): () => void;
}

/** What happened that no client is told. */
export interface RelayLog {
  info(fields: object, message: string): void;
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
  /** Bytes that are kept of all tenants together, beyond which one that has more than a fair share gets no more; default 64 MiB. */
  readonly keptBytes: number;
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
  /** Ms in which a server that is waited for says nothing, after which it is asked whether it is there; if it says nothing for three times as long, it is lost; default 12,000. */
  readonly silentMs: number;
  /** The longest time from a failed dial to the next one, in ms; the first ones follow sooner; default 250. */
  readonly redialAfterMs: number;
  /**
   * Ms for which a server that was lost may be away before its clients get errors: until then requests and turns wait, and go on at the
   * server that comes; default 5 minutes.
   */
  readonly failoverMs: number;
  /** Sessions that are restored at the same time after their server was lost; default 16. */
  readonly restoredAtOnce: number;
  /** Ms that a call waits for servers that were never reached, or that are away and may have its session; default 10,000. */
  readonly awayMs: number;
  /** Ms for a call of the gateway's own; default 30,000. */
  readonly callTimeoutMs: number;
  /** Ms for the server to make or resume a session, for which other clients of the session wait; default 2 minutes. */
  readonly attachTimeoutMs: number;
  /** Ms without a client and without work, after which a session is unloaded; default 60,000. */
  readonly detachAfterMs: number;
  /** Ms in which nobody can answer what a session waits for, after which the gateway denies it, unless the tenant states it; default 10 minutes. */
  readonly permissionTimeoutMs: number;
  /** Ms for which a question for a person is asked of the user of the turn alone, where several users share a session; default 30,000. */
  readonly firstAskedMs: number;
  /** Ms for which the login of a tenant is believed, and after which it is read again for the sessions that have it; default 20,000. */
  readonly modelReadMs: number;
  /** Ms in which a prompt that the server has taken must start a turn, before another client's prompt is sent; default 5000. */
  readonly turnStartMs: number;
  /** Ms without an event of a turn that goes on after a loss, after which the server is asked whether it works on it; default 3000. */
  readonly quietMs: number;
  /** Bytes of the calls that wait for a tenant to wake; default 256 KiB. */
  readonly wakeBytes: number;
  /** Ms for which a call waits for that, also in the queue of those that are to be woken; default 5 minutes. Longer where the wake of the tenant may take longer. */
  readonly wakeMs: number;
  /** Ms in which a server that stops is gone: what it says may be because of that is kept back so long; default 2500. */
  readonly stopsMs: number;
  /** Bytes of that, of one server, beyond which it is passed on at once; default 4 MiB. */
  readonly stopsBytes: number;
  /** Ms that a session waits for a place in the memory of its server, where the tenant limits them; default 30,000. */
  readonly placeWaitMs: number;
  /** Ms after its last use for which a session with a client keeps its place; default 10,000. */
  readonly recentlyUsedMs: number;
  /** Ms for which calls wait for the pod that follows a drained one; default 5 minutes. */
  readonly drainReturnMs: number;
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
  keptBytes: 64 * MIB,
  dialQueue: 4096,
  dialQueueBytes: 64 * MIB,
  serverFrameBytes: 64 * MIB,
  serverUnreadBytes: 64 * MIB,
  dialTimeoutMs: 5000,
  silentMs: 12_000,
  redialAfterMs: 250,
  failoverMs: 300_000,
  restoredAtOnce: 16,
  awayMs: 10_000,
  callTimeoutMs: 30_000,
  attachTimeoutMs: 120_000,
  detachAfterMs: 60_000,
  permissionTimeoutMs: 600_000,
  firstAskedMs: 30_000,
  modelReadMs: 20_000,
  turnStartMs: 5000,
  quietMs: 3000,
  wakeBytes: 256 * 1024,
  wakeMs: 300_000,
  stopsMs: 2500,
  stopsBytes: 4 * MIB,
  placeWaitMs: 30_000,
  recentlyUsedMs: 10_000,
  drainReturnMs: DRAIN_RETURN_MS,
};

/** Characters of an id that a server has given; those of its own have 36. A longer one is taken for none: nothing would bound what is kept of it. */
const LONGEST_SERVER_ID = 128;

/** Whether a server's word for something, such as a message or an event, can be an id. */
export function isServerId(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST_SERVER_ID;
}

/** The session that the params of a call or a message name. */
export function sessionIdOf({ sessionId }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof sessionId === 'string' ? sessionId : undefined;
}
