/** Decides which servers a rollout may replace now. */
import type { ServerHealth } from '../../servers/server.ts';

/** The state of one server in a rollout. */
export interface RolloutServer {
  readonly index: number;
  /** Its Deployment differs from the desired one, so that applying it replaces the pod. */
  readonly pending: boolean;
  /** It is up to date and serves its clients, as far as that is known without the credentials that it runs with. */
  readonly available: boolean;
}

/** Which servers may be replaced, and why. */
export interface RolloutDecision {
  /** Indexes of the servers that may be replaced now. */
  readonly allowed: ReadonlySet<number>;
  readonly reason: string;
  readonly message: string;
}

/**
 * Which servers may be replaced now: one at a time, lowest index first, and only while all others are available. So a version
 * that does not start takes down the first server only. A server that is down is replaced at once, because that cannot make
 * it worse.
 */
export function rolloutDecision(servers: readonly RolloutServer[]): RolloutDecision {
  const down = servers.filter((server) => server.pending && !server.available);
  const serving = servers.filter((server) => server.pending && server.available);
  if (down.length > 0) {
    return allow(down, 'ReplacingBroken', 'Servers that are down are replaced first.');
  }
  const [next, ...later] = serving.toSorted((a, b) => a.index - b.index);
  if (next === undefined) return allow([], 'UpToDate', 'All servers are up to date.');
  const blocking = servers.find((server) => !server.pending && !server.available);
  if (blocking !== undefined) {
    return allow([], 'WaitingForServer', `Server ${blocking.index} must be available before the next one is replaced.`);
  }
  return allow([next], 'OneAtATime', `Replacing server ${next.index}; ${later.length} more are waiting.`);
}

function allow(servers: readonly RolloutServer[], reason: string, message: string): RolloutDecision {
  return { allowed: new Set(servers.map((server) => server.index)), reason, message };
}

/** What is known of a server that may run with other credentials than the current ones. */
export interface CredentialsInput {
  readonly health: ServerHealth;
  /** The port is open, and the rollout is complete. */
  readonly running: boolean;
  /** Hash of the credentials that the pod was created with. */
  readonly current: string | undefined;
  /** Hash of the desired credentials. */
  readonly desired: string | undefined;
}

/**
 * Whether a server rejects the operator only because it still runs with the credentials from before a rotation. It still serves
 * its clients, so it counts as available: otherwise all servers would be replaced at once.
 */
export function runsPreviousCredentials({ health, running, current, desired }: CredentialsInput): boolean {
  return running && health.state === 'Unhealthy' && health.reason === 'AuthFailed' && current !== desired;
}
