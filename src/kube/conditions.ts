import { timestamp } from './time.ts';
import type { Condition } from './types.ts';

/** What a controller says of a condition; when it last changed is for `setCondition` to know. */
export type ConditionUpdate = Omit<Condition, 'lastTransitionTime'>;

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
