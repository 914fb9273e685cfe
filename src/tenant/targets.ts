import type { HealthSource, HealthTarget } from '../servers/health/health.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import { durationMs } from '../api/duration.ts';
import { SERVER_PORT } from '../api/names.ts';
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import { serverName, tenantOfServer } from '../resources/names.ts';
import { pingAddress, servingPod, startTime } from './pods.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { ServerWorld } from './model.ts';

/** Name of a server's target: `namespace/server`. */
export function targetKey(tenant: CopilotTenant, index: number): string {
  return keyOf({ namespace: tenant.metadata.namespace ?? '', name: serverName(tenant.metadata.name, index) });
}

/** The tenant that a target belongs to. */
export function tenantOfTarget(key: string): NamespacedName {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: tenantOfServer(key.slice(slash + 1)) };
}

interface Known {
  /** UID of the pod that was there at the last look. */
  podUID: string | undefined;
  /** That pod ran before this process looked for the first time. */
  adopted: boolean;
  /** With what its server is asked, and when that server started. */
  asked?: { readonly token: string; readonly startedAt: number | undefined };
}

/** Keeps what is pinged and surveyed in step with the pods, and remembers which pods ran before this process did. */
export class Targets {
  readonly #health: HealthSource;
  readonly #sessions: Pick<SessionSource, 'set' | 'remove'>;
  readonly #known = new Map<string, Map<number, Known>>();

  constructor(health: HealthSource, sessions: Pick<SessionSource, 'set' | 'remove'>) {
    this.#health = health;
    this.#sessions = sessions;
  }

  /** Takes note of the pods: what was said of a pod that is gone says nothing about the next one. */
  look(tenant: CopilotTenant, servers: ReadonlyMap<number, ServerWorld>): void {
    const known = this.#known.get(keyOf(tenant)) ?? new Map<number, Known>();
    this.#known.set(keyOf(tenant), known);
    for (const index of known.keys()) {
      if (servers.has(index)) continue;
      known.delete(index);
      this.#remove(targetKey(tenant, index));
    }
    for (const [index, server] of servers) {
      const podUID = servingPod(server)?.metadata.uid;
      const before = known.get(index);
      if (before?.podUID === podUID && before !== undefined) continue;
      known.set(index, { podUID, adopted: before === undefined && podUID !== undefined });
      if (before !== undefined) this.#remove(targetKey(tenant, index));
    }
  }

  /** Whether the pod of a server ran before this process first looked, so that the last status may still hold. */
  isAdopted(tenant: CopilotTenant, index: number): boolean {
    return this.#known.get(keyOf(tenant))?.get(index)?.adopted ?? false;
  }

  /** Has the wanted servers pinged and their sessions looked at, as far as their ports have opened. */
  watch(tenant: CopilotTenant, servers: Iterable<ServerWorld>, token: string): void {
    for (const server of servers) {
      const pod = servingPod(server);
      const host = pingAddress(pod);
      if (host === undefined) continue;
      const startedAt = startTime(pod);
      const own = this.#tokenOf(tenant, server.index, token, startedAt);
      this.#health.set(target(tenant, server.index, host, own));
      if (startedAt === undefined) continue;
      this.#sessions.set({ key: targetKey(tenant, server.index), host, port: SERVER_PORT, token: own, startedAt });
    }
  }

  /** A server reads its token once, when it starts: one that has changed since is not its own until it is replaced. */
  #tokenOf(tenant: CopilotTenant, index: number, token: string, startedAt: number | undefined): string {
    const known = this.#known.get(keyOf(tenant))?.get(index);
    if (known === undefined) return token;
    if (known.asked === undefined || known.asked.startedAt !== startedAt) known.asked = { token, startedAt };
    return known.asked.token;
  }

  /** Lets go of the servers of a tenant that is gone. */
  forget(request: NamespacedName): void {
    const key = keyOf(request);
    for (const index of this.#known.get(key)?.keys() ?? []) {
      this.#remove(keyOf({ ...request, name: serverName(request.name, index) }));
    }
    this.#known.delete(key);
  }

  #remove(key: string): void {
    this.#health.remove(key);
    this.#sessions.remove(key);
  }
}

function target(tenant: CopilotTenant, index: number, host: string, token: string): HealthTarget {
  const { interval, timeout, failureThreshold } = tenant.spec.health;
  return {
    key: targetKey(tenant, index),
    host,
    port: SERVER_PORT,
    token,
    intervalMs: durationMs(interval),
    timeoutMs: durationMs(timeout),
    failureThreshold,
  };
}
