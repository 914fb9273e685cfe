/**
 * Conditions: verdicts of decisions become entries of status.conditions, with transition times as in
 * metav1.Condition.
 */
import { timestamp } from '../types/time.ts';
import type { Condition } from '../types/types.ts';

/** A condition without its transition time, which `setCondition` adds. */
export type ConditionUpdate = Omit<Condition, 'lastTransitionTime'>;

/** A reason for programs, and a message for users: what was found and what to do. */
export interface Cause<Reason extends string = string> {
  readonly reason: Reason;
  readonly message: string;
}

/** What a decision reports of a condition, before `setConditions` adds its type and its transition time. */
export interface Verdict extends Cause {
  readonly status: Condition['status'];
}

/** The verdict that the condition is True. */
export function verdictTrue(reason: string, message: string): Verdict {
  return { status: 'True', reason, message };
}

/** The verdict that the condition is False. */
export function verdictFalse(reason: string, message: string): Verdict {
  return { status: 'False', reason, message };
}

/** The verdict that the condition is Unknown. */
export function verdictUnknown(reason: string, message: string): Verdict {
  return { status: 'Unknown', reason, message };
}

/** Longest message of a condition, in characters. The API allows 32,768, far more than anyone reads. */
const MAX_MESSAGE_LENGTH = 4096;

/** The condition of this type, if there is one. */
export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Whether the condition exists with the status True. */
export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

/**
 * The conditions with one of them set. `lastTransitionTime` becomes `now` (wall-clock ms) only if the status changes,
 * so that users see since when it has been so. The order is kept, so that an equal status stays equal.
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

/**
 * The conditions with all of these set, as found at `generation` of the object. A condition whose verdict is undefined
 * stays as it is; a message that is too long is cut.
 */
export function setConditions(
  conditions: readonly Condition[] | undefined,
  verdicts: Iterable<readonly [type: string, verdict: Verdict | undefined]>,
  generation: number | undefined,
  now: number,
): Condition[] {
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  let next: Condition[] = [...(conditions ?? [])];
  for (const [type, verdict] of verdicts) {
    if (verdict === undefined) continue;
    const { status, reason } = verdict;
    const message = truncate(verdict.message, MAX_MESSAGE_LENGTH);
    next = setCondition(next, { type, status, reason, message, ...observed }, now);
  }
  return next;
}

/** The condition now, if its status or reason has changed: only that deserves an event. */
export function changedCondition(
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
  type: string,
): Verdict | undefined {
  const was = findCondition(before, type);
  const is = findCondition(after, type);
  if (is === undefined || (was?.status === is.status && was.reason === is.reason)) return undefined;
  return { status: is.status, reason: is.reason, message: is.message };
}

/** The text with at most so many characters, without half a surrogate pair at its end, which the API server refuses. */
export function truncate(text: string, length: number): string {
  return (text.length <= length ? text : `${text.slice(0, length - 1)}…`).toWellFormed();
}
