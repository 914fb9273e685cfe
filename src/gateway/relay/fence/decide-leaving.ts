/** Decides whether the sessions of a server go on at others that share its volume. */

/** What is known of a server. */
export interface LeavingServer {
  /** Sessions, or calls, are there. */
  readonly hasSessions: boolean;
  /** It is connected to. */
  readonly isOpen: boolean;
  /** It was drained, and no pod of it follows. */
  readonly isDrainedForGood: boolean;
  /** It is drained, and its next pod is about to come, for which calls wait. */
  readonly isReturning: boolean;
  /** A pod of it serves, or is about to: the one that it was connected to last, or the next. */
  readonly isThere: boolean;
  /** That pod is gone. */
  readonly isPodGone: boolean;
}

export interface LeavingVerdict {
  /** `Drained` and `PodGone`: they go on elsewhere. All others: they stay. */
  readonly reason: 'Drained' | 'PodGone' | 'Unused' | 'Serves' | 'Returns' | 'PodLeft';
  readonly message: string;
}

/** What is loaded stays where it is. Time decides nothing: a server that is away may be writing. */
export function decideLeaving(server: LeavingServer): LeavingVerdict {
  if (!server.hasSessions) return { reason: 'Unused', message: 'it has no sessions' };
  if (server.isDrainedForGood) return { reason: 'Drained', message: 'it was drained, and does not come back' };
  if (server.isOpen || server.isThere) return { reason: 'Serves', message: 'it serves' };
  if (server.isReturning) return { reason: 'Returns', message: 'its next pod is about to come' };
  if (server.isPodGone) return { reason: 'PodGone', message: 'its pod is gone' };
  return { reason: 'PodLeft', message: 'its pod is there, and may write' };
}
