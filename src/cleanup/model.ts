/** The types that all of the cleanup shares: what a run does and where, and what it knows of a session. */
import type { Policy } from '../resources/ttl-rule.ts';

/** Where sessions are deleted: a running server, a volume, or both. */
export interface Target {
  readonly name: string;
  readonly server?: { readonly host: string; readonly port: number };
  /** Path of the mounted volume. Together with a server it is only swept. */
  readonly volume?: string;
}

/** One run. */
export interface CleanupOptions {
  /** Delete sessions by age, or those that are named; or only remove what deletions left on volumes. */
  readonly task: { readonly ttlMs: number; readonly policiesFile: string | undefined } | DeleteTask | 'Sweep';
  readonly dryRun: boolean;
  readonly targets: readonly Target[];
  /** The connection token of the servers. */
  readonly token: string;
  /** File for the result, besides the log. */
  readonly resultFile: string | undefined;
}

/** Delete the sessions that are older than the TTL. */
export interface TtlTask {
  readonly ttlMs: number;
  readonly policies: ReadonlyMap<string, Policy>;
}

/** Delete these sessions, in this order. */
export interface DeleteTask {
  readonly sessions: readonly RequestedDeletion[];
  /** Stop after the current deletion when it has taken this long, ms; undefined: never. */
  readonly maxMs?: number | undefined;
}

/** Delete one session, on behalf of its owner. */
export interface RequestedDeletion {
  readonly sessionId: string;
  /** Without an owner only data is deleted that has none. */
  readonly owner: string | undefined;
}
