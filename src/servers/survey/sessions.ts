import type { Deletion, SessionActivity, SessionUsage } from '../../copilot/session.ts';

/**
 * What is known of the sessions of servers, in the words that the survey and the controllers share. It lives beside the
 * wire protocol for the same reason as health.ts: the parts that use it may import this part, and not each other.
 */

/** One session that has had a turn. Nothing in it is a user's own words. */
export interface SessionFacts {
  readonly sessionId: string;
  /** When it was created, ms since the epoch. */
  readonly startTime: number;
  /** mtime of its events.jsonl, ms since the epoch: what the TTL counts from. An unload moves it too. */
  readonly modifiedTime: number;
  /** When a turn last began, went on or ended, ms since the epoch; `modifiedTime` when the journal does not tell. */
  readonly lastActivityTime: number;
  /** The journal was not looked at yet, so that `lastActivityTime` is the file's time, which an unload moves too. */
  readonly unread?: boolean;
  /** On the volume; 0 until it was told. */
  readonly sizeBytes: number;
  readonly activity: SessionActivity;
  /** Only for sessions that were asked for by {@link SessionSource.watch}, once read. */
  readonly usage?: SessionUsage | undefined;
  /** What the operator stored beside the session's data; only for sessions asked for by `watch`, once read. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** The sessions of one server as of its last complete answer. The map and its facts are replaced, never changed. */
export interface ServerSessions {
  /** When it answered, ms since the epoch. */
  readonly at: number;
  readonly sessions: ReadonlyMap<string, SessionFacts>;
  readonly active: number;
  readonly loaded: number;
  /** Bytes of all of them together. */
  readonly totalBytes: number;
}

/** What holds of a session that nobody uses. */
export interface Disuse {
  /** Its `modifiedTime` as it was told, ms since the epoch; undefined: it was not there. */
  readonly modifiedTime: number | undefined;
  /** When its time is up, ms since the epoch, reckoned from what its server wrote. */
  readonly expiresAt: number;
}

/** Where controllers learn of sessions, and how they act on them. */
export interface SessionSource {
  /**
   * The latest complete answer; undefined until every session was looked at once, and once the server could not be asked
   * for longer than a moment. Until then whoever acts on it meets a call that rejects.
   */
  get(key: string): ServerSessions | undefined;
  /** Has usage and labels read for this session of the server, until `unwatch`. It may be called before either exists. */
  watch(key: string, sessionId: string): void;
  unwatch(key: string, sessionId: string): void;
  /** Asks soon instead of at the next interval. */
  refresh(key: string): void;
  /**
   * Calls `fn` when something changed on a server: which sessions there are, their activity, usage, size or labels, or
   * that it no longer answers. `sessionIds` are the ids that changed.
   */
  onChange(fn: (key: string, sessionIds: readonly string[]) => void): void;
  /**
   * Stores `labels` beside the session's data, which its server can do only while the session is loaded. Resolves to
   * whether it did; false: it is not loaded. As an order about one session it counts as a use of it (the idle clock).
   */
  label(key: string, sessionId: string, labels: Readonly<Record<string, string>>): Promise<boolean>;
  /**
   * What the session does at this very moment, where the answers tell of one that has passed. As a question about one
   * session it counts as a use of it (the idle clock), so it is asked right before the end of a session.
   */
  activity(key: string, sessionId: string): Promise<SessionActivity>;
  /** Ends a running turn and unloads the session. Rejects when the server can't be asked. */
  close(key: string, sessionId: string): Promise<void>;
  /**
   * Deletes the session's data as `delete` does, if nobody has used it since that was told, its time is up by the server's
   * own clock too, and no turn runs; asked of the server right before, since what was told is always of a moment ago.
   */
  deleteUnused(key: string, sessionId: string, disuse: Disuse): Promise<Deletion | 'InUse'>;
  /** Deletes the session's data and looks whether it is gone. Rejects when the server can't be asked, or refuses. */
  delete(key: string, sessionId: string): Promise<Deletion>;
}
