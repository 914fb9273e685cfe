/** Which servers of a tenant are replaced now, of those whose plan replaces them: few at a time, so that the others serve. */
import type { CopilotTenant } from '../resources/tenant.ts';
import { pendingRollout, type PendingRollout } from './decisions/pending-rollout.ts';
import { rolloutDecision, runsPreviousCredentials } from './decisions/rollout.ts';
import type { RolloutBudget } from './decisions/rollout-budget.ts';
import { credentialsOf, isRolloutComplete } from './deployments.ts';
import { statedDrain } from './drain-plan.ts';
import type { ServerPlan } from './server-plan.ts';

/** Removes from the plans every replacement of a running pod that the rollout does not allow yet. */
export function limitRollout(
  drafts: readonly ServerPlan[],
  desired: string | undefined,
): { servers: ServerPlan[]; rolling: boolean } {
  const { allowed } = rolloutDecision(
    drafts.map(({ index, replaces, departs, observed, live: { deployment } }) => {
      const { health, ready, portOpen } = observed;
      const current = credentialsOf(deployment);
      const running = portOpen && isRolloutComplete(deployment);
      return {
        index,
        pending: replaces && departs !== true,
        available: ready || runsPreviousCredentials({ health, running, current, desired }),
      };
    }),
  );
  const servers = drafts.map((draft) =>
    draft.replaces && draft.departs !== true && !allowed.has(draft.index)
      ? { ...draft, deployment: undefined, restart: undefined }
      : draft,
  );
  return { servers, rolling: drafts.some(({ replaces }) => replaces) };
}

/** What the roll-out of the operator's version does to the plans. */
export interface RolledOut {
  readonly servers: readonly ServerPlan[];
  readonly rolledOut: readonly ServerPlan[];
  readonly pending?: PendingRollout | undefined;
}

/**
 * Lets the roll-out of the operator's version replace the next server, if the budget of all tenants has a place: after what the tenant
 * itself changes, and only while all its servers respond.
 */
export function rollOut(
  tenant: CopilotTenant,
  { servers, rolling }: { servers: readonly ServerPlan[]; rolling: boolean },
  budget: RolloutBudget,
): RolledOut {
  const waiting = servers.filter(({ upgrade }) => upgrade !== undefined);
  const drainsSince = ({ index }: ServerPlan): string | undefined => statedDrain(tenant, index)?.since;
  const next = waiting.find((server) => drainsSince(server) !== undefined) ?? waiting[0];
  if (next === undefined) return { servers, rolledOut: [] };
  const isAvailable = ({ observed }: ServerPlan): boolean => observed.ready && observed.stopping.length === 0;
  const place =
    !rolling && servers.every(isAvailable)
      ? budget.rollOut(next.name, { drainsSince: drainsSince(next), isRecycled: next.recycles !== undefined })
      : undefined;
  if (place?.allowed !== true) return { servers, rolledOut: [], pending: pendingRollout(waiting, place) };
  const replaced = { ...next, deployment: next.upgrade, replaces: true };
  return { servers: servers.map((server) => (server === next ? replaced : server)), rolledOut: [replaced] };
}
