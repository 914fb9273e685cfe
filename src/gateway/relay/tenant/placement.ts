/** Decides on which server of a tenant a new session is made. */
import type { Placement } from '../../../api/names.ts';
import { highestOf } from '../../peers/rank.ts';

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

/** Why a server was chosen, and which. */
export interface PlacementVerdict<L> {
  readonly reason: Placement;
  readonly message: string;
  readonly server: L;
}

/** For whom, and where the one before went. */
export interface Placed {
  /** Undefined: its client states none. */
  readonly user: string | undefined;
  /** Index of the server that the last new session went to; undefined: there was none. */
  readonly last: number | undefined;
}

/**
 * The server for a new session, by `spec.placement`; undefined: there is none. One that takes no new sessions is chosen only if all are like
 * that. A client without a user has none to go by, so its sessions go by load.
 */
export function chooseServer<L extends ServerLoad>(
  placement: Placement,
  servers: readonly L[],
  { user, last }: Placed,
): PlacementVerdict<L> | undefined {
  const takers = servers.filter(({ takesNew }) => takesNew);
  const candidates = takers.length > 0 ? takers : servers;
  if (placement === 'ByUser' && user !== undefined) {
    const server = rankedFirst(candidates, user);
    return server && { reason: 'ByUser', message: 'it ranks first for the user', server };
  }
  if (placement === 'RoundRobin') {
    const server = nextAfter(candidates, last ?? -1);
    return server && { reason: 'RoundRobin', message: 'it is next', server };
  }
  const server = leastLoaded(candidates);
  return server && { reason: 'LeastLoaded', message: `${server.turns} turns and ${server.sessions} sessions`, server };
}

/** The one with the fewest turns, of those the one with the fewest sessions, of those the first. */
function leastLoaded<L extends ServerLoad>(servers: readonly L[]): L | undefined {
  return servers.toSorted((a, b) => a.turns - b.turns || a.sessions - b.sessions || a.index - b.index)[0];
}

/** The first one behind the last, else the first of all: servers may come and go in between. */
function nextAfter<L extends ServerLoad>(servers: readonly L[], last: number): L | undefined {
  const inOrder = servers.toSorted((a, b) => a.index - b.index);
  return inOrder.find(({ index }) => index > last) ?? inOrder[0];
}

/** By rendezvous hashing: a further server takes its share of users, and no user changes between the others. */
function rankedFirst<L extends ServerLoad>(servers: readonly L[], user: string): L | undefined {
  const [first, ...others] = servers.map(({ index }) => String(index));
  if (first === undefined) return undefined;
  const highest = highestOf(user, [first, ...others]);
  return servers.find(({ index }) => String(index) === highest);
}
