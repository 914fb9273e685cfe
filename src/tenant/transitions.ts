import { ConditionType, ReadyReason } from '../api/conditions.ts';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import { changedCondition, findCondition } from '../kube/write/conditions.ts';
import { normal, warning, type EventContent } from '../kube/runtime/events.ts';

/** Reasons of events that are no condition's. */
export const EventReason = {
  /** A server that did not answer is restarted. */
  ServerRestarted: 'ServerRestarted',
  /** What deleted sessions have left on a volume can't be swept; it is tried again in an hour. */
  SweepFailed: 'SweepFailed',
} as const;

const bad = new Set<string>([ReadyReason.ServersUnhealthy]);

/**
 * The events that lie between two statuses. Conditions tell how things are, events when they became so: one for each
 * new cause of trouble and one for each new state of Ready, never one for a mere repetition.
 */
export function transitions(
  before: CopilotTenantStatus | undefined,
  after: CopilotTenantStatus,
): readonly EventContent[] {
  const events: EventContent[] = [];
  const stalled = changedCondition(before?.conditions, after.conditions, ConditionType.Stalled);
  if (stalled?.status === 'True') events.push(warning(stalled));
  const ready = changedCondition(before?.conditions, after.conditions, ConditionType.Ready);
  // A cause is told above, in the same words.
  if (ready !== undefined && ready.reason !== stalled?.reason) {
    events.push(bad.has(ready.reason) ? warning(ready) : normal(ready));
  }
  for (const type of [ConditionType.CleanupHealthy, ConditionType.StoragePressure]) {
    events.push(...healthEvents(before, after, type));
  }
  return events;
}

const healthyStatus = { [ConditionType.CleanupHealthy]: 'True', [ConditionType.StoragePressure]: 'False' } as const;

/** The event of a condition that goes bad, gets worse, or is healthy again. */
function healthEvents(
  before: CopilotTenantStatus | undefined,
  after: CopilotTenantStatus,
  type: keyof typeof healthyStatus,
): readonly EventContent[] {
  const healthy = healthyStatus[type];
  const isBad = (status: string | undefined): boolean =>
    status !== undefined && status !== 'Unknown' && status !== healthy;
  const changed = changedCondition(before?.conditions, after.conditions, type);
  if (changed === undefined) return [];
  if (isBad(changed.status)) return [warning(changed)];
  const wasBad = isBad(findCondition(before?.conditions, type)?.status);
  return wasBad && changed.status === healthy ? [normal(changed)] : [];
}
