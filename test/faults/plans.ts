/** The plans of the campaign: each is one fault, at one place in the life of a tenant and its sessions. */
import type { WatchFault } from '../support/fault-proxy.ts';
import { mulberry32 } from '../support/random.ts';

/** What a write is answered with instead of its result; `lost`: it is executed, `silence`: it is not. */
export const WRITE_ERRORS = ['409', '429', '500', '503', 'lost', 'silence'] as const;
export const CRASHES = ['before', 'at', 'after'] as const;
export const WATCH_FAULTS = ['reset', 'halfLine', 'garbage', 'silence', 'gone', 'late', 'unobserved', 'stale'] as const;

/** The types whose watches get faults, one at a time, and all together. */
export const WATCHED = [
  'copilottenants',
  'copilotsessions',
  'deployments',
  'pods',
  'persistentvolumeclaims',
  'services',
  'jobs',
  'all',
] as const;

/**
 * One fault.
 * - `crash`, `error`: at the n-th write of the operator, counted from 1 over the whole life; events don't count.
 * - `watch`: in one step of the life, to the watches of a resource. `late`: what happens reaches the operator at the end of the step.
 *   `unobserved`: not at all, because the watch then ends with 410. `stale`: the operator dies after the step, and the first list of its
 *   next process is of the state before the step.
 */
export type Plan =
  | { readonly kind: 'crash'; readonly write: number; readonly how: (typeof CRASHES)[number] }
  | { readonly kind: 'error'; readonly write: number; readonly how: (typeof WRITE_ERRORS)[number] }
  | {
      readonly kind: 'watch';
      readonly step: string;
      readonly resource: (typeof WATCHED)[number];
      readonly how: (typeof WATCH_FAULTS)[number];
    };

/** `crash:12:at`, `error:3:409`, `watch:suspend:pods:late`: what FAULT_PLAN takes. */
export function idOf(plan: Plan): string {
  return plan.kind === 'watch'
    ? `watch:${plan.step}:${plan.resource}:${plan.how}`
    : `${plan.kind}:${plan.write}:${plan.how}`;
}

/** All plans for a life of so many writes and these steps. */
export function allPlans(writes: number, steps: readonly string[]): Plan[] {
  const plans: Plan[] = [];
  for (const step of steps) {
    for (const resource of WATCHED) for (const how of WATCH_FAULTS) plans.push({ kind: 'watch', step, resource, how });
  }
  // Last, so that a process that counts a write more has the same plans in its shard.
  for (let write = 1; write <= writes; write++) {
    for (const how of CRASHES) plans.push({ kind: 'crash', write, how });
    for (const how of WRITE_ERRORS) plans.push({ kind: 'error', write, how });
  }
  return plans;
}

/** The plans with these ids, in their order. Throws for one that does not exist. */
export function plansOf(plans: readonly Plan[], ids: readonly string[]): Plan[] {
  return ids.map((id) => {
    const found = plans.find((plan) => idOf(plan) === id);
    if (found === undefined)
      throw new Error(`there is no plan ${id}: write it as in ${plans.slice(0, 1).map(idOf).join()}`);
    return found;
  });
}

/** `2/4`: the second of four parts, which together have every plan once and are about as long. What FAULT_SHARD takes. */
export function shardOf(plans: readonly Plan[], shard: string): Plan[] {
  const [, part = 0, parts = 0] = (/^(\d+)\/(\d+)$/.exec(shard) ?? []).map(Number);
  if (part < 1 || part > parts) throw new Error(`FAULT_SHARD=${shard}: write it as in 1/2, the first of two`);
  return plans.filter((_plan, index) => index % parts === part - 1);
}

/** A sample with as many crashes, errors and watch faults each; the same for the same seed. */
export function sample(plans: readonly Plan[], each: number, seed: number): Plan[] {
  const random = mulberry32(seed);
  return (['crash', 'error', 'watch'] as const).flatMap((kind) => {
    const left = plans.filter((plan) => plan.kind === kind);
    return Array.from({ length: Math.min(each, left.length) }, () =>
      left.splice(Math.floor(random() * left.length), 1),
    ).flat();
  });
}

/** How an open watch breaks; undefined for the faults that are no break. */
export function breakOf(how: (typeof WATCH_FAULTS)[number]): WatchFault | undefined {
  if (how === 'late' || how === 'stale') return undefined;
  return how === 'gone' || how === 'unobserved' ? { error: { code: 410, reason: 'Expired' } } : how;
}
