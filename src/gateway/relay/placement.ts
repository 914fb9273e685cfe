/** Decides on which server of a tenant a new session is made. */

/** How much a server has to do. */
export interface ServerLoad {
  /** Of its name. */
  readonly index: number;
  /** Whether it serves and stays. */
  readonly takesNew: boolean;
  /** Turns that run there, or are about to. */
  readonly turns: number;
  /** Sessions that clients use there, or used a moment ago. */
  readonly sessions: number;
}

/**
 * The server with the fewest turns, of those the one with the fewest sessions, of those the first. One that takes no new sessions is
 * chosen only if all are like that.
 */
export function leastLoaded<L extends ServerLoad>(servers: readonly L[]): L | undefined {
  return servers.toSorted(
    (a, b) =>
      Number(b.takesNew) - Number(a.takesNew) || a.turns - b.turns || a.sessions - b.sessions || a.index - b.index,
  )[0];
}
