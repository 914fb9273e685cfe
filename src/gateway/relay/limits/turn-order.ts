/** Decides in which order prompts get the turns of a server that runs so many at once: fair between users, whoever sends the most. */

/** A prompt that waits. */
export interface WaitingTurn {
  /** Whom it is for; undefined: its client states nobody. All of those count as one. */
  readonly user: string | undefined;
}

/**
 * The prompts in the order in which they get a turn, as far as is known now. `waiting`: in the order of arrival. `running`: users whose turns run.
 * Each user's first prompt comes before anybody's second one, and who has turns that run counts with them.
 */
export function turnOrder<T extends WaitingTurn>(waiting: readonly T[], running: readonly (string | undefined)[]): T[] {
  const counts = new Map<string | undefined, number>();
  for (const user of running) counts.set(user, (counts.get(user) ?? 0) + 1);
  const ranked = waiting.map((turn, arrival) => {
    const rank = counts.get(turn.user) ?? 0;
    counts.set(turn.user, rank + 1);
    return { turn, rank, arrival };
  });
  return ranked.toSorted((a, b) => a.rank - b.rank || a.arrival - b.arrival).map(({ turn }) => turn);
}
