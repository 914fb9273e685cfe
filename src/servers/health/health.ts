/** The interface between the pinger and the controllers. */
import type { ServerHealth } from '../server.ts';

/** Where controllers read the health of servers. */
export interface HealthSource {
  /** The latest state, `Unknown` until the first check has ended and for a server that is not known. */
  get(key: string): ServerHealth;
  /** Calls `fn` at each change of state, of the reason, or of a healthy server's version; never for a repetition. */
  onTransition(fn: (key: string, health: ServerHealth) => void): void;
  /** How many servers are in each state, the unhealthy ones by reason. A state without servers is absent. */
  counts(): ReadonlyMap<string, number>;
}
