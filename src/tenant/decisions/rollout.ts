import type { ServerHealth } from '../../servers/server.ts';

/** What a rollout needs to know of one server. */
export interface RolloutServer {
  readonly index: number;
  /** Its Deployment is not as wanted, so that applying it replaces the pod. */
  readonly pending: boolean;
  /** It is up, current and does its work, as far as anybody can tell who no longer has the credentials that it runs with. */
  readonly available: boolean;
}

export interface RolloutDecision {
  /** Indexes of the servers that may be replaced now. */
  readonly allowed: ReadonlySet<number>;
  readonly reason: string;
  readonly message: string;
}

/**
 * Which servers a change may replace now: one at a time, lowest index first, and only while all others are available,
 * so that a version that does not start stops at the first server instead of taking all of them down. A server that is
 * down has nothing to lose and is mended at once.
 */
export function rolloutDecision(servers: readonly RolloutServer[]): RolloutDecision {
  const down = servers.filter((server) => server.pending && !server.available);
  const serving = servers.filter((server) => server.pending && server.available);
  if (down.length > 0) {
    return decide(down, 'ReplacingBroken', 'Servers that are down are replaced first.');
  }
  const [next, ...later] = serving.toSorted((a, b) => a.index - b.index);
  if (next === undefined) return decide([], 'UpToDate', 'All servers are up to date.');
  const blocking = servers.find((server) => !server.pending && !server.available);
  if (blocking !== undefined) {
    return decide(
      [],
      'WaitingForServer',
      `Server ${blocking.index} must be available before the next one is replaced.`,
    );
  }
  return decide([next], 'OneAtATime', `Replacing server ${next.index}; ${later.length} more are waiting.`);
}

function decide(servers: readonly RolloutServer[], reason: string, message: string): RolloutDecision {
  return { allowed: new Set(servers.map((server) => server.index)), reason, message };
}

/** What is known of a server that is asked with credentials that may not be its own. */
export interface CredentialsInput {
  readonly health: ServerHealth;
  /** The port is open, and the pod runs what its Deployment says. */
  readonly running: boolean;
  /** Hash of the credentials that the pod was made with. */
  readonly current: string | undefined;
  /** Hash of those that it is to have. */
  readonly desired: string | undefined;
}

/**
 * Whether a server refuses the operator only because it still runs with the credentials from before a rotation. To its clients
 * it does its work until its turn comes; taken for one that is down it would be replaced together with all the others.
 */
export function runsFormerCredentials({ health, running, current, desired }: CredentialsInput): boolean {
  return running && health.state === 'Unhealthy' && health.reason === 'AuthFailed' && current !== desired;
}
