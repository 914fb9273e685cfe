/** What is under way in a session, and what may therefore not be done with it now. */
import type { Session } from './session.ts';

/** Whether it has to be on a server: for its clients, or for a turn that goes on without them. */
export function isNeeded({ attached, turn, prompts }: Session): boolean {
  return attached.size > 0 || turn.isTaken || prompts.areUnfinished;
}

/** Whether a turn runs, or may, that is lost if the server stops now: one that waits for a permission goes on elsewhere. */
export function hasTurnToEnd({ sending, turn, questions }: Session): boolean {
  return sending > 0 || (turn.isRunning && !questions.areForPermissions);
}

/** Whether something is under way that another home could not go on with. */
export function isBusy(session: Session): boolean {
  const { turn, questions } = session;
  return hasTurnToEnd(session) || (!questions.areForPermissions && (turn.isBusy || questions.size > 0));
}
