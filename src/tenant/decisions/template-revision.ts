/** Decides which revision of the pod template a server has. */

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
}

/** The revision, and why. */
export interface RevisionDecision {
  /** The one to apply. If it is unknown to this version of the operator, the Deployment stays as it is. */
  readonly revision: number;
  readonly reason: 'Starting' | 'TenantChanged' | 'Restarting' | 'Current' | 'Recorded' | 'RecordedUnknown';
  readonly message: string;
}

/**
 * A new revision of the template replaces the pod and with it the running turns, so a server gets it only when its pod is replaced or
 * created anyway. A revision that is newer than the current one was written by a newer operator, before a downgrade.
 */
export function templateRevision({ recorded, current, changed, restarts }: RevisionInput): RevisionDecision {
  const take = (reason: RevisionDecision['reason'], message: string): RevisionDecision => ({
    revision: current,
    reason,
    message,
  });
  if (recorded === undefined) return take('Starting', `It starts with revision ${current}.`);
  if (changed) return take('TenantChanged', `The tenant has changed: its pod is replaced, with revision ${current}.`);
  if (restarts) return take('Restarting', `It does not respond: its pod is replaced, with revision ${current}.`);
  if (recorded === current) return take('Current', `It has revision ${current}.`);
  if (recorded < current) {
    const message = `It keeps revision ${recorded} until it is restarted; the current one is ${current}.`;
    return { revision: recorded, reason: 'Recorded', message };
  }
  const message =
    `It keeps revision ${recorded}, of a newer operator, until it is restarted; ` +
    `this operator knows revisions up to ${current}.`;
  return { revision: recorded, reason: 'RecordedUnknown', message };
}
