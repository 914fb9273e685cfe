/** The types that all of the cleanup shares: what a run does and where, and what it knows of a session. */
import type { SessionActivity } from '../copilot/index.ts';

/** Where sessions are deleted: a running server, a volume, or both. */
export interface Target {
  readonly name: string;
  readonly server?: { readonly host: string; readonly port: number };
  /** Path of the mounted volume. Together with a server it is only swept. */
  readonly volume?: string;
}

/** One run. */
export interface CleanupOptions {
  /** Delete sessions by age, or one session; or only remove what deletions left on volumes. */
  readonly task: { readonly ttlMs: number; readonly policiesFile: string | undefined } | DeleteTask | 'Sweep';
  readonly dryRun: boolean;
  readonly targets: readonly Target[];
  /** The connection token of the servers. */
  readonly token: string;
  /** File for the result, besides the log. */
  readonly resultFile: string | undefined;
}

/** A session on a server or a volume. Times are ms since the epoch. */
export interface StoredSession {
  readonly sessionId: string;
  /** mtime of its events.jsonl. */
  readonly modifiedTime: number;
  /** Absent when no server runs, or when the decision does not depend on it. */
  readonly activity?: SessionActivity | undefined;
  /** mtime of the youngest `inuse.<pid>.lock` in its directory; absent without one, or when a server runs. */
  readonly lockTime?: number | undefined;
}

/** What a CopilotSession demands for its session. */
export type Policy =
  | { readonly keep: true }
  | {
      readonly keep?: undefined;
      readonly ttlMs: number;
      /** When the CopilotSession was created, ms since the epoch: its TTL counts from then at the earliest. */
      readonly since?: number | undefined;
    };

/** Delete the sessions that are older than the TTL. */
export interface TtlTask {
  readonly ttlMs: number;
  readonly policies: ReadonlyMap<string, Policy>;
}

/** Delete one session, on behalf of its owner. */
export interface DeleteTask {
  readonly sessionId: string;
  /** Without an owner only data is deleted that has none. */
  readonly owner: string | undefined;
}
