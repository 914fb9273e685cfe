/** Turns transitions of conditions into events. */
import { ConditionType, ReadyReason, ReconcilingReason } from '../api/conditions.ts';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import { type EventContent, normal, warning } from '../kube/runtime/events.ts';
import { changedCondition, findCondition } from '../kube/write/conditions.ts';

/** Reasons of events that are not the reason of a condition. */
export const EventReason = {
  /** The connection token was rotated: its Secret was deleted, or given another token. */
  TokenRotated: 'TokenRotated',
  /** The credential for the gateway was rotated: the binding Secret was deleted, or given another token. */
  CredentialRotated: 'CredentialRotated',
  /** Children that had lost their owner were taken over, after --cascade=orphan or the restore of a backup. */
  ChildrenAdopted: 'ChildrenAdopted',
  /** An admission policy had changed a child at its creation, and did not when it was updated. */
  PolicyUndone: 'PolicyUndone',
  /** A server uses a volume that existed before, with the sessions on it. */
  VolumeAdopted: 'VolumeAdopted',
  /** An unresponsive server is restarted. */
  ServerRestarted: 'ServerRestarted',
  /** A server is about to be replaced or stopped, and its running turns end first. */
  ServerDraining: 'ServerDraining',
  /** A server was replaced or stopped although the gateway had not said that its turns have ended: `spec.drain.timeout` was over. */
  DrainDeadlinePassed: 'DrainDeadlinePassed',
  /** The roll-out of the operator's version replaces a server. */
  ServerRolledOut: 'ServerRolledOut',
  /** A server that works is replaced by a fresh one, because of `spec.server.recycle`. */
  ServerRecycled: 'ServerRecycled',
  /** The kubelet evicted a server, which was started again. The message has the field that prevents the next time. */
  ServerEvicted: 'ServerEvicted',
  /** The pod of a server failed for another reason, and was replaced. */
  ServerPodFailed: 'ServerPodFailed',
  /** The files that deleted sessions left on a volume could not be swept; the next attempt is in an hour. */
  SweepFailed: 'SweepFailed',
  /** The servers deleted expired sessions themselves, because the run of the cleanup cannot start. */
  SessionsCleanedUp: 'SessionsCleanedUp',
} as const;

const bad = new Set<string>([ReadyReason.ServersUnhealthy, ReadyReason.WakeFailed]);

/**
 * The events of the change from one status to the next: one for each new cause, and one for each new reason of Ready. An
 * unchanged reason is no event.
 */
export function transitions(
  before: CopilotTenantStatus | undefined,
  after: CopilotTenantStatus,
): readonly EventContent[] {
  const events: EventContent[] = [];
  const stalled = changedCondition(before?.conditions, after.conditions, ConditionType.Stalled);
  if (stalled?.status === 'True') events.push(warning(stalled));
  const reconciling = changedCondition(before?.conditions, after.conditions, ConditionType.Reconciling);
  if (reconciling?.reason === ReconcilingReason.Paused) events.push(normal(reconciling));
  const ready = changedCondition(before?.conditions, after.conditions, ConditionType.Ready);
  // A new cause has its event above, with the same message.
  if (ready !== undefined && ready.reason !== stalled?.reason) {
    events.push(bad.has(ready.reason) ? warning(ready) : normal(ready));
  }
  events.push(...drainEvents(before, after));
  for (const type of [ConditionType.CleanupHealthy, ConditionType.StoragePressure]) {
    events.push(...healthEvents(before, after, type));
  }
  return events;
}

/** The events of drains that have begun. */
function drainEvents(
  before: CopilotTenantStatus | undefined,
  { servers = [] }: CopilotTenantStatus,
): readonly EventContent[] {
  return servers.flatMap(({ name, drain }) => {
    if (drain === undefined || drain.epoch <= (before?.drainEpoch ?? 0)) return [];
    const message = `Server ${name} drains (${drain.reason}): its running turns end first, until ${drain.deadline} at the latest.`;
    return normal({ reason: EventReason.ServerDraining, message });
  });
}

const healthyStatus = { [ConditionType.CleanupHealthy]: 'True', [ConditionType.StoragePressure]: 'False' } as const;

/** The event of a condition that becomes unhealthy, gets worse, or is healthy again. */
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
