import type { UnhealthyReason } from '../../copilot/errors.ts';

/**
 * What is known of a server, in the words that the pinger and the tenant controller share. It lives beside the wire
 * protocol because both of them may import this part, and not each other (test/unit/architecture checks it).
 */

/**
 * Health of one server. `since` is wall-clock time in milliseconds since the epoch and moves only on a transition.
 * `message` names the address, what was found and what to do; it never holds the token.
 */
export type ServerHealth =
  | { readonly state: 'Unknown' }
  | { readonly state: 'Healthy'; readonly version: string; readonly since: number }
  | {
      readonly state: 'Unhealthy';
      readonly reason: UnhealthyReason;
      readonly message: string;
      readonly since: number;
    };

/** One server to watch, and how. */
export interface HealthTarget {
  /** `namespace/server`, the name under which transitions are told. */
  readonly key: string;
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
  /** The server's connection token (`COPILOT_CONNECTION_TOKEN`). */
  readonly token: string;
  /** Milliseconds from one check to the next. */
  readonly intervalMs: number;
  /** Milliseconds that one check may take, from dialling to the answer. */
  readonly timeoutMs: number;
  /** Checks in a row that must fail, an interval apart, before the server counts as unhealthy; at least 1. */
  readonly failureThreshold: number;
}

/** Where a controller learns of servers' health. */
export interface HealthSource {
  /** Starts watching, or adopts changed values. Calling it again with equal values does nothing. */
  set(target: HealthTarget): void;
  /** Stops watching and closes the connection. An unknown key is fine. */
  remove(key: string): void;
  /** The latest state, `Unknown` until the first check has ended and for a key that is not watched. */
  get(key: string): ServerHealth;
  /** Calls `fn` at each change of state, of the reason, or of a healthy server's version; never for a mere repetition. */
  onTransition(fn: (key: string, health: ServerHealth) => void): void;
}
