import type { CopilotSession } from './session.ts';

/**
 * Which of the resources with one session id of one tenant holds it: the oldest, until it is gone. Of two made within the
 * same second it is the one that has been told to hold it, if any, and else that of the lower UID, so that everybody who
 * looks comes to the same answer.
 */
export function holderOf(sessions: readonly CopilotSession[]): CopilotSession | undefined {
  return sessions.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}

// A phase is told of holders alone.
const rank = ({ metadata, status }: CopilotSession): string =>
  `${metadata.creationTimestamp ?? ''} ${status?.phase === undefined ? 1 : 0} ${metadata.uid ?? ''}`;
