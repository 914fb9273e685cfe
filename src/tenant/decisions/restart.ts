import type { ServerHealth } from '../../servers/server.ts';
import { exponentialDelay } from '../../kube/clock/backoff.ts';
import { timestamp } from '../../kube/types/time.ts';
import { childName, tenantOfServer } from '../../resources/names.ts';
import type { Restart } from '../model.ts';

/** Before the second restart in a row, and before each further one. */
const RESTART_BACKOFF = { baseMs: 60_000, maxMs: 30 * 60_000 };
/** A server that answered for this long after a restart, in ms, starts a new row. */
const RESTART_RESET_MS = 60 * 60_000;

/** What is known of a server that should be answering. */
export interface RestartInput {
  /** Its name. */
  readonly server: string;
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
export function restartDecision({ server, health, podReady, last, now }: RestartInput): RestartDecision {
  if (health.state !== 'Unhealthy') return none('NotUnhealthy', 'The server is not unhealthy.');
  if (health.reason === 'AuthFailed') {
    // The pod is made with the token: where it has another, somebody changes pods, and a new one would be changed too.
    return none(
      'RestartDoesNotHelp',
      `${health.message}. Its pod has another token than Secret ${childName(tenantOfServer(server), 'token')}, ` +
        `for example because an admission policy changes pods. Fix the cause, then run kubectl rollout restart deploy/${server}.`,
    );
  }
  if (health.reason === 'Unreachable' && podReady) {
    // The kubelet connects and the operator does not: a network policy or a route, and the same for every server.
    return none(
      'RestartDoesNotHelp',
      `${health.message}. The kubelet can connect to the pod and the operator cannot: check the NetworkPolicies and the pod network.`,
    );
  }
  const attempt = last === undefined || health.since - Date.parse(last.at) > RESTART_RESET_MS ? 1 : last.attempt + 1;
  if (last !== undefined && attempt > 1) {
    const due = Date.parse(last.at) + exponentialDelay(RESTART_BACKOFF, last.attempt - 1);
    if (now < due) {
      return {
        action: 'wait',
        reason: 'BackingOff',
        // A time and not a time span: that would change with every look, and each change of a status is a write.
        message: `${health.message}. Restart ${last.attempt} did not help; the next restart is due at ${timestamp(due)}.`,
        afterMs: due - now,
      };
    }
  }
  return { action: 'restart', reason: health.reason, message: health.message, attempt };
}

function none(reason: string, message: string): RestartDecision {
  return { action: 'none', reason, message };
}
