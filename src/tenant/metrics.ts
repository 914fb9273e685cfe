import type { CleanupRun } from './cleanup/cleanup-runs.ts';

/** Told of what happened to tenants and can't be read from the cluster afterwards. */
export interface TenantMetrics {
  /** A server that did not answer was restarted. */
  restarted(): void;
  /** A run of a cleanup has ended. */
  cleanedUp(run: CleanupRun): void;
  /** A tenant that this process saw from its beginning became Ready for the first time, so long after it was made. */
  becameReady(afterMs: number): void;
}
