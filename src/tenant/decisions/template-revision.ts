/** Decides whether a server keeps the pod template and the default image that it was started with, or gets the current ones. */

/** What is known of a server that has a Deployment, or should have one. */
export interface RevisionInput {
  /** The revision that its Deployment records; undefined: it starts now, from nothing or from zero replicas. */
  readonly recorded: number | undefined;
  /** The revision of this version of the operator. */
  readonly current: number;
  /** The tenant's spec or its credentials have changed, so the server is replaced anyway. */
  readonly changed: boolean;
  /** The operator restarts it, because it does not respond. */
  readonly restarts: boolean;
  /** The roll-out is paused, because servers with the current version do not respond. */
  readonly paused: boolean;
}

/** What it runs with, and why. */
export interface RevisionDecision {
  /** Whether it gets the current revision and the operator's present default image. */
  readonly takesCurrent: boolean;
  /** The one to apply. If it is unknown to this version of the operator, the Deployment stays as it is. */
  readonly revision: number;
  readonly reason:
    'Starting' | 'TenantChanged' | 'Restarting' | 'RolloutPaused' | 'Current' | 'Recorded' | 'RecordedUnknown';
  readonly message: string;
}

/**
 * A new version replaces the pod and with it the running turns, so a server gets it only when its pod is replaced or created anyway, or
 * when the roll-out reaches it (rollout-budget.ts). A revision that is newer than the current one was written by a newer operator,
 * before a downgrade.
 */
export function templateRevision({ recorded, current, changed, restarts, paused }: RevisionInput): RevisionDecision {
  const take = (reason: RevisionDecision['reason'], message: string): RevisionDecision => ({
    takesCurrent: true,
    revision: current,
    reason,
    message,
  });
  if (recorded === undefined) return take('Starting', `It starts with revision ${current}.`);
  const keep = (reason: RevisionDecision['reason'], message: string): RevisionDecision => ({
    takesCurrent: false,
    revision: recorded,
    reason,
    message,
  });
  if ((changed || restarts) && paused && recorded <= current) {
    return keep(
      'RolloutPaused',
      `Its pod is replaced with revision ${recorded}, while servers with a newer version do not respond.`,
    );
  }
  if (changed) return take('TenantChanged', `The tenant has changed: its pod is replaced, with revision ${current}.`);
  if (restarts) return take('Restarting', `It does not respond: its pod is replaced, with revision ${current}.`);
  if (recorded === current) return keep('Current', `It has revision ${current}.`);
  if (recorded < current) {
    return keep('Recorded', `It keeps revision ${recorded} until it is replaced; the current one is ${current}.`);
  }
  return keep(
    'RecordedUnknown',
    `It keeps revision ${recorded}, of a newer operator, until it is replaced; this operator knows revisions up to ${current}.`,
  );
}
