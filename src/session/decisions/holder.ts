import type { CopilotSession } from '../../resources/session.ts';

/**
 * Which of the resources with one session id of one tenant holds it: the oldest, until it is gone. Two made within the
 * same second are told apart by their UIDs, so that everybody who looks comes to the same answer.
 */
export function holderOf(sessions: readonly CopilotSession[]): CopilotSession | undefined {
  return sessions.toSorted((a, b) => (age(a) < age(b) ? -1 : 1))[0];
}

const age = ({ metadata }: CopilotSession): string => `${metadata.creationTimestamp ?? ''} ${metadata.uid ?? ''}`;
