/** Which CopilotSession holds a session id. */
import type { CopilotSession } from './session.ts';

/**
 * Which of the resources with the same session id of the same tenant holds it: the oldest, until it is gone. Of two that were created
 * within the same second it is the one whose status has a phase, else the one with the lower UID, so that the answer is always the same.
 */
export function holderOf(sessions: readonly CopilotSession[]): CopilotSession | undefined {
  return sessions.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}

// Only holders have a phase.
const rank = ({ metadata, status }: CopilotSession): string =>
  `${metadata.creationTimestamp ?? ''} ${status?.phase === undefined ? 1 : 0} ${metadata.uid ?? ''}`;
