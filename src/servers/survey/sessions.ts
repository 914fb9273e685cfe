/** What is known of the sessions of servers, and what can be done with them: the interface between the survey and the controllers. */
import type { Deletion, SessionActivity, SessionUsage } from '../../copilot/session.ts';

/** One session that has had a turn. It holds no text of a user. */
export interface SessionFacts {
  readonly sessionId: string;
  /** When it was created, ms since the epoch. */
  readonly startTime: number;
  /** mtime of its events.jsonl, ms since the epoch: what the TTL counts from. An unload moves it too. */
  readonly modifiedTime: number;
  /** When a turn last started, continued or ended, ms since the epoch; `modifiedTime` if the journal does not show it. */
  readonly lastActivityTime: number;
  /** The journal was not read yet, so `lastActivityTime` is the file's time, which an unload moves too. */
  readonly unread?: boolean;
  /** On the volume; 0 until it is known. */
  readonly sizeBytes: number;
  readonly activity: SessionActivity;
  /** Only of sessions that are watched ({@link SessionSource.watch}), once read. */
  readonly usage?: SessionUsage | undefined;
  /** What the operator stored beside the session's data; only of sessions that are watched, once read. */
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

/** What a server can't do for the survey: a method that it answers with an error. Its other methods are used. */
export interface Limitation {
  readonly method: string;
  /** JSON-RPC error code; -32601: its version lacks the method. */
  readonly code: number;
}

/** The server that has a session, by the word of a guard. */
export interface Holder {
  /** Its key. */
  readonly server: string;
  readonly why: string;
}

/** A session was not touched, because another server has it and may write it. */
export class HeldElsewhereError extends Error {
  override readonly name = 'HeldElsewhereError';
  /** Key of that server. */
  readonly holder: string;
  /** What its pod does, and how it is ended: a sentence without an end. */
  readonly why: string;

  constructor({ server, why }: Holder, sessionId: string) {
    super(`session ${sessionId} is on server ${server}, which has not closed it: ${why}`);
    this.holder = server;
    this.why = why;
  }
}

/** Since when a session is not used. */
export interface Disuse {
  /** Its `modifiedTime` as it was observed, ms since the epoch; undefined: there was no such session. */
  readonly modifiedTime: number | undefined;
  /** When it expires, ms since the epoch, by the times that its server wrote. */
  readonly expiresAt: number;
  /** It was in no memory: if it is now, it is used again. Default: only a turn is a use. */
  readonly isUnloaded?: boolean | undefined;
}

/**
 * Where controllers read sessions, and how they act on them. Operations reject if the server is not connected, and those that change a
 * session also while this process may not write: another may lead by then. Of a server with a guard, what closes or deletes a session
 * rejects with HeldElsewhereError while another server has it.
 */
export interface SessionSource {
  /**
   * The latest complete answer; undefined until every session was read once, and again after polls have failed for some 25 s.
   * In between operations reject, while the answer is still given.
   */
  get(key: string): ServerSessions | undefined;
  /** What the server could not do in the latest poll. With a limitation of `sessions.list` there is no answer, though the server answers. */
  limitations(key: string): readonly Limitation[];
  /** Has the session's usage and labels read, until `unwatch`. It may be called before the server or the session exists. */
  watch(key: string, sessionId: string): void;
  unwatch(key: string, sessionId: string): void;
  /** Requests a poll soon instead of at the next interval. */
  refresh(key: string): void;
  /**
   * Calls `fn` when something changed on a server: which sessions exist, their activity, usage, size or labels, or whether
   * it answers. `sessionIds` are the ids that changed; of a server whose limitations changed, those that are watched.
   */
  onChange(fn: (key: string, sessionIds: readonly string[]) => void): void;
  /**
   * Stores `labels` beside the session's data. Resolves to false if the session is not loaded, because its server can store
   * them only while it is, and if the server has a guard: then the gateway alone may write sessions that are loaded. It resets the
   * session's idle clock.
   */
  label(key: string, sessionId: string, labels: Readonly<Record<string, string>>): Promise<boolean>;
  /**
   * The activity of the session now, where `get` has that of the last poll. It resets the session's idle clock, so it is
   * requested only right before the end of a session.
   */
  activity(key: string, sessionId: string): Promise<SessionActivity>;
  /** Whether the server has data of the session now, where `get` is as old as the last poll. It loads nothing. */
  isStored(key: string, sessionId: string): Promise<boolean>;
  /** Ends a running turn and unloads the session. */
  close(key: string, sessionId: string): Promise<void>;
  /**
   * Deletes the session's data as `delete` does, if the session has not been used since `disuse` was observed, has expired by
   * the server's clock too, and no turn runs. All of it is requested from the server right before, because what was observed
   * may be outdated. Of a server with a guard nothing is deleted that the gateway has been granted meanwhile.
   */
  deleteUnused(key: string, sessionId: string, disuse: Disuse): Promise<Deletion | 'InUse'>;
  /** Deletes the session's data and verifies that it is gone. Rejects if the server refuses. */
  delete(key: string, sessionId: string): Promise<Deletion>;
}
