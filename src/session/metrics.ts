/** The metrics of the session controller. Every label value comes from a fixed set. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { SessionConditionType, SessionPhase, SessionStalledReason } from '../api/session-conditions.ts';
import { findCondition } from '../kube/write/conditions.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import type { CopilotSession } from '../resources/session.ts';

/** How the deletion of an expired session ended. `NotFound`: there was nothing to delete. `Failed`: it is retried. */
export type ExpiryResult = 'Deleted' | 'NotFound' | 'Failed';
/** What happened to the data of a deleted resource. `LeftBehind`: it could not be deleted in time. */
export type RemovalResult = 'Deleted' | 'NotFound' | 'LeftBehind';

const EXPIRY_RESULTS: readonly ExpiryResult[] = ['Deleted', 'NotFound', 'Failed'];
const REMOVAL_RESULTS: readonly RemovalResult[] = ['Deleted', 'NotFound', 'LeftBehind'];
/** Value of `phase` for a session without a status. */
const UNKNOWN = 'Unknown';
/** Why a session can be Stalled. */
const STALLED_REASONS = Object.values(SessionStalledReason).filter(
  (reason) => reason !== SessionStalledReason.NotStalled,
);
const PHASES = [...Object.values(SessionPhase), UNKNOWN];

export class SessionMetrics {
  readonly #expirations = new Counter({
    name: 'copilot_session_expirations_total',
    help: `Expired CopilotSessions, by the result of the deletion: ${EXPIRY_RESULTS.join(', ')}`,
    labelNames: ['result'],
    registers: [],
  });
  readonly #removals = new Counter({
    name: 'copilot_session_deletions_total',
    help: `Deleted CopilotSessions with deletionPolicy Delete, by what happened to their data: ${REMOVAL_RESULTS.join(', ')}`,
    labelNames: ['result'],
    registers: [],
  });

  constructor(registry: Registry, sessions: ReadonlyStore<CopilotSession>) {
    const byPhase = new Gauge({
      name: 'copilot_sessions',
      help: `CopilotSessions by phase: ${PHASES.join(', ')}`,
      labelNames: ['phase'],
      registers: [],
      collect() {
        for (const phase of PHASES) this.set({ phase }, 0);
        for (const { status } of sessions.list()) this.inc({ phase: status?.phase ?? UNKNOWN });
      },
    });
    const stalled = new Gauge({
      name: 'copilot_stalled_sessions',
      help: `CopilotSessions of which the condition Stalled is True, by its reason: ${STALLED_REASONS.join(', ')}`,
      labelNames: ['reason'],
      registers: [],
      collect() {
        for (const reason of STALLED_REASONS) this.set({ reason }, 0);
        for (const { status } of sessions.list()) {
          const found = findCondition(status?.conditions, SessionConditionType.Stalled);
          // A reason of another version of the operator is none of these.
          const reason = STALLED_REASONS.find((each) => each === found?.reason);
          if (found?.status === 'True' && reason !== undefined) this.inc({ reason });
        }
      },
    });
    // All series exist from the start, so that a rate over them works from the first event.
    for (const result of EXPIRY_RESULTS) this.#expirations.inc({ result }, 0);
    for (const result of REMOVAL_RESULTS) this.#removals.inc({ result }, 0);
    registry.registerMetric(byPhase);
    registry.registerMetric(stalled);
    registry.registerMetric(this.#expirations);
    registry.registerMetric(this.#removals);
  }

  expired(result: ExpiryResult): void {
    this.#expirations.inc({ result });
  }

  removed(result: RemovalResult): void {
    this.#removals.inc({ result });
  }
}
