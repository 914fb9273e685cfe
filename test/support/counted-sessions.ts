/** A SessionSource whose sessions the test sets by their number. */
import type { Deletion, SessionActivity } from '../../src/copilot/session.ts';
import type { ServerSessions, SessionFacts, SessionSource } from '../../src/servers/survey/sessions.ts';

/** The number of sessions by activity; each was active at `lastActivityTime` and has `sizeBytes`. */
export interface SessionCounts {
  readonly active?: number;
  readonly loaded?: number;
  readonly unloaded?: number;
  /** ms since the epoch. */
  readonly lastActivityTime?: number;
  readonly sizeBytes?: number;
}

export class CountedSessions implements SessionSource {
  readonly #answers = new Map<string, ServerSessions>();
  readonly #listeners: ((key: string, sessionIds: readonly string[]) => void)[] = [];

  /** The server answers this from now on; undefined: its polls fail. */
  set(key: string, counts: SessionCounts | undefined): void {
    if (counts === undefined) this.#answers.delete(key);
    else this.#answers.set(key, serverSessions(counts));
    for (const listener of this.#listeners) listener(key, []);
  }

  remove(key: string): void {
    this.#answers.delete(key);
  }

  get(key: string): ServerSessions | undefined {
    return this.#answers.get(key);
  }

  onChange(fn: (key: string, sessionIds: readonly string[]) => void): void {
    this.#listeners.push(fn);
  }

  limitations(): readonly [] {
    return [];
  }

  watch(): void {}
  unwatch(): void {}
  refresh(): void {}

  label(): Promise<boolean> {
    return Promise.reject(new Error('not used here'));
  }

  activity(): Promise<SessionActivity> {
    return Promise.reject(new Error('not used here'));
  }

  isStored(): Promise<boolean> {
    return Promise.reject(new Error('not used here'));
  }

  close(): Promise<void> {
    return Promise.reject(new Error('not used here'));
  }

  deleteUnused(): Promise<Deletion> {
    return this.delete();
  }

  delete(): Promise<Deletion> {
    return Promise.reject(new Error('not used here'));
  }
}

/** The answer of a server with these sessions. */
export function serverSessions(counts: SessionCounts): ServerSessions {
  const { active = 0, loaded = 0, unloaded = 0, lastActivityTime = 0, sizeBytes = 0 } = counts;
  const kinds: [SessionActivity, number][] = [
    ['Active', active],
    ['Loaded', loaded],
    ['Unloaded', unloaded],
  ];
  const sessions = kinds.flatMap(([activity, count]) =>
    Array.from({ length: count }, (_, index): [string, SessionFacts] => {
      const sessionId = `${activity}-${index}`;
      const times = { startTime: 0, modifiedTime: lastActivityTime, lastActivityTime };
      return [sessionId, { sessionId, ...times, sizeBytes, activity }];
    }),
  );
  return {
    at: Number.MAX_SAFE_INTEGER,
    sessions: new Map(sessions),
    active,
    loaded: active + loaded,
    totalBytes: sessions.length * sizeBytes,
  };
}
