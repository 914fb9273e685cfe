/** What is done of a paused tenant: it is observed and reported, and nothing of it is written. */
import type { Outcome } from './apply.ts';
import type { TokenDecision } from './decisions/connection-token.ts';
import type { ServerWorld, World } from './model.ts';
import type { Plan } from './plan.ts';

/** The plan without everything that would be written or waited for. What was found out about servers is kept. */
export function pausedPlan(plan: Plan, decision: TokenDecision | undefined): Plan {
  const servers = plan.servers.map(({ index, name, live, observed, healthMessage, cause }) => ({
    index,
    name,
    live,
    observed,
    replaces: false,
    healthMessage,
    cause,
  }));
  // Without its Secret no server has the token that was generated just now.
  const token = decision?.reason === 'Created' ? undefined : plan.token;
  return { ...plan, token, rotation: undefined, servers, sweeps: [], waits: [], rolling: false, paused: true, dueInMs: undefined };
}

/** The outcome of a paused reconcile: everything as it was read. */
export function untouched({ servers, bindingSecret }: World, plan: Plan): Outcome {
  const desired = plan.servers.map(({ index }) => [index, servers.get(index) ?? { index, pods: [] }] as const);
  return {
    refusals: [],
    waits: [],
    errors: [],
    conflicts: [],
    adopted: [],
    servers: new Map<number, ServerWorld>(desired),
    hasBinding: typeof bindingSecret === 'object',
    rotated: false,
    restarted: [],
    sweepFailures: [],
  };
}
