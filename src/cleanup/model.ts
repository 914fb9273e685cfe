/** The types that all of the cleanup shares: what a run is to do and where, and what it knows of a session. */
import type { SessionActivity } from '../copilot/index.ts';

/** A server's sessions: the server itself while it runs, the volume that has them, or both. */
export interface Target {
  readonly name: string;
  readonly server?: { readonly host: string; readonly port: number };
  /** Path of the mounted volume. Beside a server it is only swept. */
  readonly volume?: string;
}

export interface CleanupOptions {
  /** Delete by age, or one session; or only remove what deletions have left behind, on volumes. */
  readonly task:
    { readonly ttlMs: number; readonly policiesFile: string | undefined } | { readonly sessionId: string } | 'Sweep';
  readonly dryRun: boolean;
  readonly targets: readonly Target[];
  /** The connection token of the servers. */
  readonly token: string;
  /** Where the result goes besides the log; absent: nowhere. */
  readonly resultFile: string | undefined;
}

/** What is known of one session. Times are ms since the epoch. */
export interface StoredSession {
  readonly sessionId: string;
  /** mtime of its events.jsonl. */
  readonly modifiedTime: number;
  /** What its server says; absent when nobody was asked, because no server runs or because nothing depends on it. */
  readonly activity?: SessionActivity | undefined;
  /** mtime of the youngest `inuse.<pid>.lock` in its directory; absent without one, or when there is a server to ask. */
  readonly lockTime?: number | undefined;
}

/** What a CopilotSession says of its session. */
export type Policy = { readonly keep: true } | { readonly keep?: undefined; readonly ttlMs: number };

export interface TtlTask {
  readonly ttlMs: number;
  readonly policies: ReadonlyMap<string, Policy>;
}
