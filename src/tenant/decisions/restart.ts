/** Decides whether an unresponsive server is restarted. */
import { exponentialDelay } from '../../kube/clock/backoff.ts';
import { msLeft, timestamp } from '../../kube/types/time.ts';
import type { ServerHealth } from '../../servers/server.ts';
import { childName, tenantOfServer } from '../../resources/names.ts';
import type { Restart } from '../model.ts';

/** Back-off before the second restart of a series and each further one. */
const RESTART_BACKOFF = { baseMs: 60_000, maxMs: 30 * 60_000 };
/** After this long healthy time since the last restart, in ms, a new series begins. */
const RESTART_RESET_MS = 60 * 60_000;

/** What is known of a server that should respond. */
export interface RestartInput {
  /** Name of the server. */
  readonly server: string;
  readonly health: ServerHealth;
  /** The pod is Ready: the kubelet can connect to its port, from the node itself. */
  readonly podReady: boolean;
  /** The last restart, as recorded on the Deployment: the decision does not depend on memory of this process. */
  readonly last: Restart | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** Whether to restart now, to wait for the back-off, or neither. */
export type RestartDecision =
  | { readonly action: 'none'; readonly reason: string; readonly message: string }
  | { readonly action: 'wait'; readonly reason: string; readonly message: string; readonly afterMs: number }
  | { readonly action: 'restart'; readonly reason: string; readonly message: string; readonly attempt: number };

/**
 * Whether an unresponsive server is restarted now. It is Unhealthy only after `health.failureThreshold` failed pings, so the
 * first restart is immediate; back-off limits a server that never recovers to one restart in half an hour.
 */
export function restartDecision({ server, health, podReady, last, now }: RestartInput): RestartDecision {
  if (health.state !== 'Unhealthy') return none('NotUnhealthy', 'The server is not unhealthy.');
  if (health.reason === 'AuthFailed') {
    // A pod is created with the current token: if it has another, something changes pods, and would change the next one too.
    return none(
      'RestartDoesNotHelp',
      `${health.message}. The connection token of its pod differs from the one in Secret ${childName(tenantOfServer(server), 'token')}, ` +
        `for example because an admission policy changes pods. Fix the cause, then run kubectl rollout restart deploy/${server}.`,
    );
  }
  if (health.reason === 'Unreachable' && podReady) {
    // Only the operator cannot connect: that is the network, and a restart does not fix it.
    return none(
      'RestartDoesNotHelp',
      `${health.message}. The kubelet can connect to the pod, but the operator cannot: check the NetworkPolicies and the pod network.`,
    );
  }
  const attempt = last === undefined || health.since - Date.parse(last.at) > RESTART_RESET_MS ? 1 : last.attempt + 1;
  if (last !== undefined && attempt > 1) {
    const [since, delay] = [Date.parse(last.at), exponentialDelay(RESTART_BACKOFF, last.attempt - 1)];
    const afterMs = msLeft(since, delay, now);
    if (afterMs > 0) {
      return {
        action: 'wait',
        reason: 'BackingOff',
        // A time and not a duration: that would change with every reconcile, and each change is a write.
        message: `${health.message}. Restart ${last.attempt} did not help; the next restart is due at ${timestamp(since + delay)}.`,
        afterMs,
      };
    }
  }
  return { action: 'restart', reason: health.reason, message: health.message, attempt };
}

function none(reason: string, message: string): RestartDecision {
  return { action: 'none', reason, message };
}
