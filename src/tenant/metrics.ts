/** What the tenant controller reports to metrics. */
import type { CleanupRun } from './cleanup/cleanup-runs.ts';
import type { DrainEnd } from './decisions/drain.ts';

/** Counts what happened to tenants and cannot be read from the cluster afterwards. */
export interface TenantMetrics {
  /** An unresponsive server was restarted. */
  restarted(): void;
  /** A server was replaced or stopped after it had drained for this long. */
  drained(end: DrainEnd, afterMs: number): void;
  /** The wake of a tenant has ended, this long after it was decided. */
  woke(result: 'Awake' | 'Failed', afterMs: number): void;
  /** A cleanup run has ended. */
  cleanedUp(run: CleanupRun): void;
  /** Servers deleted expired sessions while a cleanup run could not start. */
  deletedByServers(sessions: number, freedBytes: number): void;
  /** A tenant became Ready for the first time, this long after its creation. */
  becameReady(afterMs: number): void;
}
