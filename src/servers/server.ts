/** One server of a tenant: what the operator was given of it, what it has learned of it, and the connection to it. */
import type { UnhealthyReason, WriteError } from '../copilot/index.ts';
import { ServerConnection, type ConnectionContext, type ServerAddress } from './connection.ts';

/** A server as the cluster has it. */
export interface ServerTarget extends ServerAddress {
  /** `namespace/server`. */
  readonly key: string;
  /** UID of the pod that it runs in. */
  readonly podUID: string;
  /** When its process started, ms since the epoch; undefined: that is not known yet. */
  readonly startedAt: number | undefined;
  /** It has a guard in front of it, which takes grants of this tenant (`namespace/name`). Undefined: it has none. */
  readonly guardOf?: string | undefined;
  readonly health: HealthSettings;
}

/** How a server's health is checked. */
export interface HealthSettings {
  /** Milliseconds from one check to the next. */
  readonly intervalMs: number;
  /** Milliseconds that one check may take, from dialling to the answer. */
  readonly timeoutMs: number;
  /** Checks in a row that must fail, an interval apart, before the server counts as unhealthy; at least 1. */
  readonly failureThreshold: number;
  /** A server is slow while as many pings in a row took longer, in milliseconds; undefined: that is not looked at. */
  readonly slowMs?: number | undefined;
}

/**
 * Health of one server. `since` is wall-clock time in milliseconds since the epoch and moves only on a transition.
 * `message` names the address, what was found and what to do; it never holds the token.
 */
export type ServerHealth =
  | { readonly state: 'Unknown' }
  | {
      readonly state: 'Healthy';
      /** Undefined: the server does not report it. */
      readonly version: string | undefined;
      readonly since: number;
      /** The methods that it is known to lack, sorted; absent: none. */
      readonly lacks?: readonly string[];
      /** Why it cannot write to its volume; absent: it can, or that is not known. */
      readonly writeError?: WriteError;
      /** It takes too long to answer; absent: it does not. */
      readonly isSlow?: true;
    }
  | {
      readonly state: 'Unhealthy';
      readonly reason: UnhealthyReason;
      readonly message: string;
      readonly since: number;
    };

/** How a server has changed. */
export interface ServerUpdate {
  readonly before: ServerTarget;
  /** It has another address or token, so that its connection was closed. */
  readonly moved: boolean;
}

/** A known server. */
export class Server {
  readonly connection: ServerConnection;
  /** As the pinger last found it. */
  health: ServerHealth = { state: 'Unknown' };
  /** The CLI's version, as of the last connection that was checked; undefined: none was. */
  version: string | undefined;
  #target: ServerTarget;

  constructor(target: ServerTarget, context: ConnectionContext) {
    this.#target = target;
    this.connection = new ServerConnection(target, context);
  }

  /** `namespace/server`. */
  get key(): string {
    return this.#target.key;
  }

  /** As it was set last. */
  get target(): ServerTarget {
    return this.#target;
  }

  /** Takes over changed values; undefined: nothing differs. */
  update(target: ServerTarget): ServerUpdate | undefined {
    const before = this.#target;
    if (isSame(before, target)) return undefined;
    this.#target = target;
    if (before.startedAt !== target.startedAt) this.connection.forgetMethods();
    return { before, moved: this.connection.move(target) };
  }
}

const FIELDS = ['key', 'host', 'port', 'token', 'podUID', 'startedAt', 'guardOf'] as const;
const HEALTH_FIELDS = ['intervalMs', 'timeoutMs', 'failureThreshold', 'slowMs'] as const;

function isSame(a: ServerTarget, b: ServerTarget): boolean {
  return (
    FIELDS.every((field) => a[field] === b[field]) &&
    HEALTH_FIELDS.every((field) => a.health[field] === b.health[field])
  );
}
