/** Where a controller learns of the health of servers: the interface between it and the pinger. */
import type { ServerHealth } from '../server.ts';

export interface HealthSource {
  /** The latest state, `Unknown` until the first check has ended and for a server that is not known. */
  get(key: string): ServerHealth;
  /** Calls `fn` at each change of state, of the reason, or of a healthy server's version; never for a mere repetition. */
  onTransition(fn: (key: string, health: ServerHealth) => void): void;
}
