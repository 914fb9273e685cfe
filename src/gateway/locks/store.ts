/** The coordination store: what gateways agree on of sessions that any server of a tenant may load (docs/adr/0056-coordination-store.md). */

/** A session of a tenant. Any text is a key of its own: ids are neither folded nor cut. */
export interface SessionKey {
  /** UID of the tenant: another one of the same name, or of another cluster that uses the same store, has keys of its own. */
  readonly tenant: string;
  readonly session: string;
}

/** A server, in one pod. */
export interface Place {
  /** `namespace/server`. */
  readonly server: string;
  readonly podUID: string;
}

/** A place that was, or is to be, left. */
export interface LeftPlace extends Place {
  /** The last epoch under which the session was to be there; undefined: an earlier version wrote the record, and did not say. */
  readonly epoch?: number | undefined;
}

/** `Moving`: its holder may have the session loaded at `place`, and it may still be loaded at all of `leaving`. `Placed`: at `place` only. */
export type RecordState = 'Moving' | 'Placed';

/** Where a session is, or is being brought. */
export interface SessionRecord {
  /**
   * Whole, above 0. It only rises, and names the holder: the store has never given it to anybody else. The operator counts on from what guards
   * say, and may come to the same number: guards refuse whoever of both comes later.
   */
  readonly epoch: number;
  readonly state: RecordState;
  readonly place: Place;
  /** Where it may be loaded beside `place`: each must have closed it under this epoch, or be gone for sure, before it is `Placed`. */
  readonly leaving: readonly LeftPlace[];
  /** The process that wrote it: unique, never used again. */
  readonly holder: string;
}

/** A step to a new epoch. */
export interface Advance {
  /** The record as it was read; undefined: there was none. */
  readonly seen: SessionRecord | undefined;
  /** The highest epoch that is known from elsewhere, such as the stamp beside the session's data; 0: none is. */
  readonly floor: number;
  readonly place: Place;
  readonly holder: string;
  /** UIDs of pods that certainly do not have it in memory, by what was found out since `seen` was written: they are left already. */
  readonly left?: readonly string[] | undefined;
}

/** What came of a write that names what it saw. `Lost`: another was faster; `record` is what there is now, undefined for none. */
export type RecordResult =
  | { readonly outcome: 'Won'; readonly record: SessionRecord }
  | { readonly outcome: 'Lost'; readonly record: SessionRecord | undefined };

/** What came of `forget`. */
export type ForgetResult =
  { readonly outcome: 'Forgotten' } | { readonly outcome: 'Lost'; readonly record: SessionRecord | undefined };

/** Why a store cannot be used. Each has a paragraph in docs/runbooks/coordination-away.md. */
export const UNAVAILABLE_REASONS = [
  /** No connection: it is down, the address is wrong, or the network is. */
  'Unreachable',
  /** Connected, and no answer in time. */
  'TimedOut',
  /** User or password is refused, or the user has too few rights. */
  'AccessDenied',
  /** Its certificate is not trusted. */
  'UntrustedTLS',
  /** It lacks what is needed. */
  'TooOld',
  /** It is at its limit of memory, and takes no writes. */
  'Full',
  /** A replica, or one that may not write now: writes go to another. */
  'ReadOnly',
  /** It answers that it cannot serve now: it loads its data, or a cluster is incomplete. */
  'NotServing',
  /** It holds something under one of our keys that we did not write. */
  'Unreadable',
  /** This process has closed it. */
  'Closed',
] as const;
export type UnavailableReason = (typeof UNAVAILABLE_REASONS)[number];

/** The store gave no answer. A write may or may not have happened: whoever needs to know reads. To try again later is right. */
export class CoordinationUnavailableError extends Error {
  override readonly name = 'CoordinationUnavailableError';
  readonly reason: UnavailableReason;

  /** `message` names the address, the setting and the remedy, and holds no secret: it is for the log. */
  constructor(reason: UnavailableReason, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }

  /** Users of a tenant have no business with where the store is. A sentence without an end. */
  get forClients(): string {
    return `the coordination store cannot be used (${this.reason}), and the log of the gateway says why`;
  }
}

/** Whether the store answers. `Unused`: nothing was asked of it yet, so it is not connected. */
export type Availability =
  | { readonly state: 'Unused' | 'Available' }
  | { readonly state: 'Unavailable'; readonly reason: UnavailableReason; readonly message: string };

/** The highest epoch that is given, or taken as a floor: a stamp that somebody forged must not use up the numbers. */
export const MAX_EPOCH = 2 ** 52;

/**
 * Records of sessions. Every operation is atomic, and rejects with a {@link CoordinationUnavailableError} within seconds if the
 * store does not answer: nothing is decided by what this process remembers. A wrong argument is a RangeError.
 *
 * A store that lost its data has no records, or older ones. So whoever finds none, or one below an epoch that it knows, advances with
 * that epoch as `floor`.
 */
export interface CoordinationStore {
  /** The record; undefined: there is none. */
  read(key: SessionKey): Promise<SessionRecord | undefined>;
  /**
   * If the record is as it was `seen`: a new one, `Moving` to `place`, with an epoch above that of `seen` and above `floor`; if there was
   * none, also above those of all records of the tenant that were forgotten. What `seen` names as `place` and `leaving` is in `leaving`,
   * but for `place` itself and what is in `left`.
   */
  advance(key: SessionKey, advance: Advance): Promise<RecordResult>;
  /** If the record is as it was `seen` and `Moving`: it is `Placed`, in the same epoch. Only for its holder, after all of `leaving` was left. */
  settle(key: SessionKey, seen: SessionRecord): Promise<RecordResult>;
  /** If the record is as it was `seen`: it is deleted. Its epoch is not given again. */
  forget(key: SessionKey, seen: SessionRecord): Promise<ForgetResult>;
  /** All records of the tenant, in pages: one that is written meanwhile may come as it was before or as it is after, or twice. */
  list(tenant: string): AsyncIterable<readonly (readonly [session: string, record: SessionRecord])[]>;
  /** Deletes all that is known of a tenant that is gone for ever, its epochs included. */
  forgetTenant(tenant: string): Promise<void>;

  readonly availability: Availability;
  /** Calls `listener` after each change of `availability`. Returns the function that ends it. */
  onAvailability(listener: (now: Availability) => void): () => void;
  /** Operations that are under way, and all later ones, reject; nothing is kept open. */
  close(): Promise<void>;
}
