import { SessionConditionType, SessionReadyReason } from '../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../api/session.ts';
import { changedCondition } from '../kube/write/conditions.ts';
import { warning, type EventContent } from '../kube/runtime/events.ts';

/** Reasons of events that are no condition's. */
export const EventReason = {
  /** Its time was up, and its data was deleted. */
  SessionExpired: 'SessionExpired',
  /** A turn was running when the resource was deleted, and was ended. */
  SessionClosed: 'SessionClosed',
  /** The resource goes, and its data could not be deleted. The message says where it is. */
  SessionDataLeftBehind: 'SessionDataLeftBehind',
  /** The resource goes and its data is gone, and nobody could be told to sweep the empty lock file that its server leaves. */
  SessionLockLeftBehind: 'SessionLockLeftBehind',
  /** The resource goes, and the data under its id stays: it is another owner's. */
  SessionDataOfAnother: 'SessionDataOfAnother',
} as const;

/**
 * The events that lie between two statuses: each new cause of trouble, and the loss of the data. Turns come and go
 * without one, and so do the tenant's troubles: an event for each of its sessions would bury the tenant's own.
 */
export function transitions(
  before: CopilotSessionStatus | undefined,
  after: CopilotSessionStatus,
): readonly EventContent[] {
  const events: EventContent[] = [];
  const stalled = changedCondition(before?.conditions, after.conditions, SessionConditionType.Stalled);
  if (stalled?.status === 'True') events.push(warning(stalled));
  const ready = changedCondition(before?.conditions, after.conditions, SessionConditionType.Ready);
  if (ready?.reason === SessionReadyReason.SessionLost) events.push(warning(ready));
  return events;
}
