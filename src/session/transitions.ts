/** The events of a session. */
import { SessionConditionType, SessionReadyReason } from '../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../api/session.ts';
import { changedCondition } from '../kube/write/conditions.ts';
import { warning, type EventContent } from '../kube/runtime/events.ts';

/** Reasons of events that are not also reasons of a condition. */
export const EventReason = {
  /** Its time to live has passed, and its data was deleted. */
  SessionExpired: 'SessionExpired',
  /** A turn was running when the resource was deleted, and was ended. */
  SessionClosed: 'SessionClosed',
  /** The resource is deleted, and its data could not be. The message says where it is. */
  SessionDataLeftBehind: 'SessionDataLeftBehind',
  /** The resource and its data are deleted, but no sweep could be requested for the empty lock file that the server leaves. */
  SessionLockLeftBehind: 'SessionLockLeftBehind',
  /** The resource is deleted, and the data under its id stays: it has another owner. */
  SessionDataOfAnother: 'SessionDataOfAnother',
} as const;

/**
 * The events for the transition between two statuses: each new cause, and the loss of the data. Turns cause none, and neither do the
 * tenant's problems: an event for each of its sessions would bury the tenant's own.
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
