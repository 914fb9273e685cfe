/** What the connections of clients share. */
import type { Denial } from '../admission/admission.ts';
import type { ClientWork, CloseReason, Identity } from '../model.ts';
import type { RateRule } from './rates.ts';
import type { ClientState } from './state.ts';

/** The bounds of one connection. */
export interface ClientLimits {
  /** ms from the connection until the client is admitted. */
  readonly greetingMs: number;
  /** Bytes that a client may send before it is admitted. */
  readonly greetingBytes: number;
  /** Bytes of answers that are kept for it before it is admitted; beyond them it is closed. A frame of 21 bytes has an answer of 130. */
  readonly greetingQueueBytes: number;
  /** Wrong tokens before the connection is closed. */
  readonly attempts: number;
  /** ms from a token until it is refused, so that all refusals take the same, and guessing takes long. */
  readonly refusalMs: number;
  /** Largest frame of an admitted client, in bytes; a larger one is refused on its id, and skipped. */
  readonly frameBytes: number;
  /** Bytes that are kept for a client that does not read, whatever the relay allows; beyond them it is closed. */
  readonly queueBytes: number;
  /** ms after which a credential that was reviewed is reviewed again. */
  readonly recheckMs: number;
  /** ms for which a client stays when its credential cannot be reviewed. */
  readonly unverifiedMs: number;
  /** ms in which whatever a client waits for whose tenant is gone is answered, before its connection ends. */
  readonly dismissMs: number;
  /** ms in which a connection that is ended may take over what is still queued for it. */
  readonly lingerMs: number;
  /** ms from the end of a client's last turn until it is closed, in which it is not read. */
  readonly partingMs: number;
}

/** A review is up to 30 s old when it is believed: with 25 s here, a revoked token ends its connections within a minute. */
export const CLIENT_LIMITS: ClientLimits = {
  greetingMs: 5_000,
  greetingBytes: 64 * 1024,
  greetingQueueBytes: 16 * 1024,
  attempts: 5,
  refusalMs: 300,
  frameBytes: 32 * 1024 * 1024,
  queueBytes: 64 * 1024 * 1024,
  recheckMs: 25_000,
  unverifiedMs: 25_000,
  dismissMs: 2_000,
  lingerMs: 1_000,
  partingMs: 100,
};

/** Why connections of clients end, for metrics and audit. The relay has further reasons. */
export const CloseCause = {
  /** The client has closed it. */
  ClientClosed: 'ClientClosed',
  /** It broke: a reset, or no answer to keepalive. */
  ConnectionLost: 'ConnectionLost',
  /** It was not admitted in time. */
  GreetingTimeout: 'GreetingTimeout',
  /** It sent more than is allowed before it was admitted. */
  GreetingTooLarge: 'GreetingTooLarge',
  /** It presented too many wrong tokens. */
  TooManyAttempts: 'TooManyAttempts',
  /** Too many connections were open that are not admitted; this was the oldest. */
  Crowded: 'Crowded',
  /** Its tenant has as many clients as it may have. */
  TenantFull: 'TenantFull',
  /** Clients of its tenant, or of its user, connect faster than they may. */
  RateLimit: 'RateLimit',
  /** Its tenant is paused. */
  TenantPaused: 'TenantPaused',
  /** An administrator has closed the connections of its tenant. */
  Kicked: 'Kicked',
  /** What it sent is not the protocol. */
  FramingFault: 'FramingFault',
  /** It does not read what it is sent. */
  QueueFull: 'QueueFull',
  /** All clients together have more to read than is kept, and it has the most. */
  UnreadLimit: 'UnreadLimit',
  CredentialExpired: 'CredentialExpired',
  /** Its credential or its right is no longer valid, or its tenant is gone. */
  CredentialRevoked: 'CredentialRevoked',
  /** Its credential could not be reviewed for too long. */
  Unverified: 'Unverified',
  /** This gateway stops, and nothing of the client was under way. */
  Drained: 'Drained',
  /** This gateway stops, and waited long enough. */
  DrainDeadline: 'DrainDeadline',
} as const;

/** Who hears of clients: for metrics, audit, and the bounds that many connections share. */
export interface ClientObserver {
  admitted(client: ClientInfo): void;
  denied(client: ClientInfo, denial: Denial): void;
  /** Once and last, when the connection is gone. */
  closed(client: ClientInfo, reason: CloseReason): void;
  received(bytes: number): void;
  /** One of the frames in these bytes was complete. */
  receivedFrame(): void;
  /** Frames of together so many bytes. */
  sent(bytes: number, frames: number): void;
  /** A frame was larger than is allowed. */
  oversize(): void;
  /** A connection or a frame was refused, because more came than may. */
  rateExceeded(rule: RateRule): void;
}

/** What may be known of a client from outside: nothing secret, and nothing of what it says. */
export interface ClientInfo {
  /** Unique in this process. */
  readonly id: number;
  /** IP address and port. */
  readonly address: string;
  /** Undefined: it is not admitted yet. */
  readonly identity: Identity | undefined;
}

/** A client and its connection, as they are at one moment. */
export interface ClientSummary extends ClientInfo, ClientWork {
  readonly state: ClientState;
  /** Since when it is connected, ms since the epoch. */
  readonly since: number;
  /** What the application says that it is, such as `portal 2.4.0`; undefined: nothing. SDKs do not say their own version. */
  readonly application: string | undefined;
  /** Bytes that it has yet to read. */
  readonly queuedBytes: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}
