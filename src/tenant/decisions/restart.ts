import type { ServerHealth } from '../../copilot/health.ts';
import type { Restart } from '../builders/deployment.ts';

/** Wait before the second restart of a row, in ms. It doubles with each further one. */
export const RESTART_BACKOFF_MS = 60_000;
/** Longest wait between two restarts, in ms. */
export const MAX_RESTART_BACKOFF_MS = 30 * 60_000;
/** A server that answered for this long after a restart, in ms, starts a new row. */
export const RESTART_RESET_MS = 60 * 60_000;

/** What is known of a server that should be answering. */
export interface RestartInput {
  readonly health: ServerHealth;
  /** What the kubelet says: its probe connects from the node itself. */
  readonly podReady: boolean;
  /** The last restart, read back from the Deployment: no memory of the process is part of this decision. */
  readonly last: Restart | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

export type RestartDecision =
  | { readonly action: 'none'; readonly reason: string; readonly message: string }
  | { readonly action: 'wait'; readonly reason: string; readonly message: string; readonly afterMs: number }
  | { readonly action: 'restart'; readonly reason: string; readonly message: string; readonly attempt: number };

/**
 * Whether a server that does not answer is restarted now. The pinger has applied `health.failureThreshold` before it
 * says Unhealthy; what follows is back-off, so that a server that never recovers costs one restart in half an hour.
 */
export function restartDecision({ health, podReady, last, now }: RestartInput): RestartDecision {
  if (health.state !== 'Unhealthy') return none('NotUnhealthy', 'The server is not known to be unhealthy.');
  if (health.reason === 'AuthFailed') {
    return none('RestartDoesNotHelp', `${health.message} A restart does not change the token.`);
  }
  if (health.reason === 'Unreachable' && podReady) {
    // The kubelet connects and the operator does not: a network policy or a route, and the same for every server.
    return none(
      'RestartDoesNotHelp',
      `${health.message} Its node can connect to it, so the network in between is at fault.`,
    );
  }
  const attempt = last === undefined || health.since - Date.parse(last.at) > RESTART_RESET_MS ? 1 : last.attempt + 1;
  if (last !== undefined && attempt > 1) {
    const due = Date.parse(last.at) + backoffMs(last.attempt);
    if (now < due) {
      return {
        action: 'wait',
        reason: 'BackingOff',
        message: `It was restarted ${last.attempt} times in a row without lasting success; the next restart is due in ${Math.ceil((due - now) / 1000)} s.`,
        afterMs: due - now,
      };
    }
  }
  return { action: 'restart', reason: health.reason, message: health.message, attempt };
}

function backoffMs(attempt: number): number {
  return Math.min(RESTART_BACKOFF_MS * 2 ** (attempt - 1), MAX_RESTART_BACKOFF_MS);
}

function none(reason: string, message: string): RestartDecision {
  return { action: 'none', reason, message };
}
