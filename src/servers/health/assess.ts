/** How the outcome of a check changes a server's health; a pure function. */
import type { UnhealthyReason, WriteError } from '../../copilot/index.ts';
import type { HealthSettings, ServerHealth } from '../server.ts';

/** How one check ended. */
export type Outcome =
  | {
      readonly ok: true;
      readonly version: string | undefined;
      readonly lacks?: readonly string[];
      readonly writeError?: WriteError | undefined;
      /** The round trip of the ping. */
      readonly ms?: number;
    }
  | { readonly ok: false; readonly reason: UnhealthyReason; readonly message: string };

/** What is kept of a server between two checks. */
export interface History {
  readonly health: ServerHealth;
  /** Failures in a row, an interval apart. */
  readonly failures: number;
  /** How many of them, the latest ones, had the latest reason. */
  readonly sameReason: number;
  readonly reason: UnhealthyReason | undefined;
  /** Slow answers in a row. */
  readonly slow: number;
  /** When the latest of them was counted, in monotonic ms. */
  readonly countedAt: number;
}

export const NO_HISTORY: History = {
  health: { state: 'Unknown' },
  failures: 0,
  sameReason: 0,
  reason: undefined,
  slow: 0,
  countedAt: Number.NEGATIVE_INFINITY,
};

/** Checks have a jitter of a tenth, so two that are this much of an interval apart count as two. */
const APART = 0.8;

/**
 * The history after a check's outcome. Its `health` is the same object unless there was a transition.
 *
 * A success counts at once. Failures count once an interval: after a lost connection the server is dialled again within
 * fractions of a second, and three refused dials in one second must not count as three failed checks.
 */
export function assess(
  history: History,
  outcome: Outcome,
  { intervalMs, failureThreshold, slowMs = Infinity }: Omit<HealthSettings, 'timeoutMs'>,
  { now, monotonic }: { readonly now: number; readonly monotonic: number },
): History {
  const { health } = history;
  if (outcome.ok) {
    const { version, lacks = [], writeError, ms = 0 } = outcome;
    const slow = ms > slowMs ? history.slow + 1 : 0;
    const isSlow = slow >= failureThreshold;
    const same =
      health.state === 'Healthy' &&
      health.version === version &&
      health.writeError === writeError &&
      (health.isSlow ?? false) === isSlow &&
      isSameList(health.lacks ?? [], lacks);
    // The usual case, a hundred times a second: what is kept until the next check costs the garbage collector the most.
    if (same && history.failures === 0 && history.slow === slow) return history;
    const healthy: ServerHealth = {
      state: 'Healthy',
      version,
      since: now,
      ...(lacks.length > 0 && { lacks }),
      ...(writeError && { writeError }),
      ...(isSlow && { isSlow }),
    };
    return { ...NO_HISTORY, slow, health: same ? health : healthy };
  }

  const { reason, message } = outcome;
  if (history.failures > 0 && monotonic - history.countedAt < intervalMs * APART) return history;
  const failures = history.failures + 1;
  const sameReason = history.reason === reason ? history.sameReason + 1 : 1;
  const counted = { ...history, failures, sameReason, reason, countedAt: monotonic };
  const unhealthy: ServerHealth = { state: 'Unhealthy', reason, message, since: now };
  if (health.state !== 'Unhealthy') return failures >= failureThreshold ? { ...counted, health: unhealthy } : counted;
  // A server that is starting or stopping shows several reasons in turn: a new one is reported when it has lasted.
  return health.reason !== reason && sameReason >= failureThreshold ? { ...counted, health: unhealthy } : counted;
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
