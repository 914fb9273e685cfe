import { timestamp } from '../types/time.ts';
import type { Condition } from '../types/types.ts';

/** What a controller says of a condition; when it last changed is for `setCondition` to know. */
export type ConditionUpdate = Omit<Condition, 'lastTransitionTime'>;

/** A condition without its type: what was found, and for whom it is written in which words. */
export interface Verdict {
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
}

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Whether the condition is there and has the status True. */
export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

/**
 * The conditions with one of them set. `lastTransitionTime` becomes `now` (wall-clock ms) only when the status flips,
 * so that people can see since when something has been so; order is kept, so that an equal status stays equal.
 */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  update: ConditionUpdate,
  now: number,
): Condition[] {
  const previous = findCondition(conditions, update.type);
  const lastTransitionTime = previous?.status === update.status ? previous.lastTransitionTime : timestamp(now);
  const next: Condition = { ...update, lastTransitionTime };
  if (!previous) return [...(conditions ?? []), next];
  return (conditions ?? []).map((condition) => (condition.type === update.type ? next : condition));
}

/** The conditions with all of these set, as found at `generation` of the object. */
export function setConditions(
  conditions: readonly Condition[] | undefined,
  verdicts: Iterable<readonly [type: string, verdict: Verdict]>,
  generation: number | undefined,
  now: number,
): Condition[] {
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  let next: Condition[] = [...(conditions ?? [])];
  for (const [type, { status, reason, message }] of verdicts) {
    next = setCondition(next, { type, status, reason, message, ...observed }, now);
  }
  return next;
}

/** What a condition says now, if its status or reason is another than before: what an event may tell of. */
export function changedCondition(
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
  type: string,
): { status: string; told: { reason: string; message: string } } | undefined {
  const was = findCondition(before, type);
  const is = findCondition(after, type);
  if (is === undefined || (was?.status === is.status && was.reason === is.reason)) return undefined;
  return { status: is.status, told: { reason: is.reason, message: is.message } };
}
