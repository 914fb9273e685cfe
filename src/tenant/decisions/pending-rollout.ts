/** Decides what a tenant's status says while its servers wait for the roll-out of the operator's version. */
import type { BudgetDecision } from './rollout-budget.ts';

/** Why servers wait for the roll-out. */
export interface PendingRollout {
  readonly reason: BudgetDecision['reason'] | 'ServersNotReady';
  readonly message: string;
  /** How many servers wait. */
  readonly servers: number;
}

const MAX_NAMED = 5;

/**
 * `place` is the answer of the budget, if it was asked. The message does not change while others are replaced: each change is a write,
 * for every tenant that waits.
 */
export function pendingRollout(
  waiting: readonly { readonly name: string; readonly recycles?: object | undefined }[],
  place: BudgetDecision | undefined,
): PendingRollout {
  const named = waiting.slice(0, MAX_NAMED).map(({ name }) => name);
  const more = waiting.length > MAX_NAMED ? [`${waiting.length - MAX_NAMED} more`] : [];
  const servers = `servers ${[...named, ...more].join(', ')}`;
  const what = waiting.every(({ recycles }) => recycles !== undefined)
    ? `spec.server.recycle asks for fresh processes of ${servers}.`
    : `The operator has a newer pod template or default image than ${servers} run with.`;
  const { reason, message } = place ?? {
    reason: 'ServersNotReady',
    message: 'They are replaced one at a time, and only while all servers of the tenant respond.',
  };
  return { reason, message: `${what} ${message}`, servers: waiting.length };
}
