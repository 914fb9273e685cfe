/** How long a process that has just started trusts what was reported before, instead of reporting servers that it has not reached yet. */
import { SessionConditionType, SessionReadyReason } from '../api/session-conditions.ts';
import { findCondition } from '../kube/write/conditions.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { ServerView } from './model.ts';

const STARTUP_GRACE_MS = 60_000;

/** One for the process. */
export class StartupGrace {
  /** Keys of the servers that have answered this process, as long as that matters. */
  readonly #answered = new Set<string>();
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** When this process first reconciled a session, monotonic ms. */
  #startedAt: number | undefined;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /**
   * How long these servers are not reported as unavailable yet, in ms. Right after the start none of them has been polled: reporting each
   * of hundreds of sessions as unavailable, and as available a moment later, would be two useless writes.
   */
  remainingMs({ status }: CopilotSession, servers: readonly ServerView[]): number {
    const now = this.#clock.monotonic();
    this.#startedAt ??= now;
    if (now - this.#startedAt > STARTUP_GRACE_MS) {
      this.#answered.clear();
      return 0;
    }
    for (const { key, answer } of servers) if (answer !== undefined) this.#answered.add(key);
    // That a tenant was suspended says nothing of its servers after it was resumed.
    const reported = findCondition(status?.conditions, SessionConditionType.Ready)?.reason;
    const outdated =
      reported === SessionReadyReason.TenantSuspended || reported === SessionReadyReason.TenantHibernated;
    const known = status?.conditions === undefined || outdated || servers.some(({ key }) => this.#answered.has(key));
    return known ? 0 : this.#startedAt + STARTUP_GRACE_MS - now;
  }
}
