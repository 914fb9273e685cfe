/** Which servers of tenants are registered, so that they are pinged and surveyed: those whose pod has opened its port. */
import { durationMs } from '../api/duration.ts';
import { SERVER_PORT } from '../api/names.ts';
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import { serverName, tenantOfServer } from '../resources/names.ts';
import { isSharedStorage, type CopilotTenant } from '../resources/tenant.ts';
import type { ServerRegistry } from '../servers/registry.ts';
import type { HealthSettings } from '../servers/server.ts';
import type { ServerWorld } from './model.ts';
import { pingAddress, servingPod, startTime } from './pods.ts';

/** Key of a server in the registry: `namespace/server`. */
export function targetKey(tenant: CopilotTenant, index: number): string {
  return keyOf({ namespace: tenant.metadata.namespace ?? '', name: serverName(tenant.metadata.name, index) });
}

/** The tenant that a server of the registry is of. */
export function tenantOfTarget(key: string): NamespacedName {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: tenantOfServer(key.slice(slash + 1)) };
}

interface Known {
  /** UID of the pod as it was observed last. */
  podUID: string | undefined;
  /** The pod was running when this process observed the server for the first time. */
  wasRunning: boolean;
  /** The token that the server's process started with, and when it did. */
  started?: { readonly token: string; readonly at: number | undefined };
}

/** Keeps the registry of servers in step with the pods, and remembers which pods ran before this process did. */
export class Targets {
  readonly #servers: Pick<ServerRegistry, 'set' | 'remove'>;
  readonly #known = new Map<string, Map<number, Known>>();

  constructor(servers: Pick<ServerRegistry, 'set' | 'remove'>) {
    this.#servers = servers;
  }

  /** Removes servers whose pod is gone: what was known of it says nothing about the next one. */
  observe(tenant: CopilotTenant, servers: ReadonlyMap<number, ServerWorld>): void {
    const known = this.#known.get(keyOf(tenant)) ?? new Map<number, Known>();
    this.#known.set(keyOf(tenant), known);
    for (const index of known.keys()) {
      if (servers.has(index)) continue;
      known.delete(index);
      this.#servers.remove(targetKey(tenant, index));
    }
    for (const [index, server] of servers) {
      const podUID = servingPod(server)?.metadata.uid;
      const before = known.get(index);
      if (before?.podUID === podUID && before !== undefined) continue;
      known.set(index, { podUID, wasRunning: before === undefined && podUID !== undefined });
      if (before !== undefined) this.#servers.remove(targetKey(tenant, index));
    }
  }

  /** Whether the pod of a server ran before this process observed it, so that the last status may still hold. */
  wasRunning(tenant: CopilotTenant, index: number): boolean {
    return this.#known.get(keyOf(tenant))?.get(index)?.wasRunning ?? false;
  }

  /** Registers the desired servers, as far as their ports have opened. */
  register(tenant: CopilotTenant, servers: Iterable<ServerWorld>, token: string): void {
    const health = healthSettings(tenant);
    for (const server of servers) {
      const pod = servingPod(server);
      const host = pingAddress(pod);
      if (host === undefined) continue;
      const startedAt = startTime(pod);
      this.#servers.set({
        key: targetKey(tenant, server.index),
        host,
        port: SERVER_PORT,
        token: this.#tokenOf(tenant, server.index, token, startedAt),
        podUID: pod?.metadata.uid ?? '',
        startedAt,
        ...(isSharedStorage(tenant) && { guardOf: keyOf(tenant) }),
        health,
      });
    }
  }

  /** A server reads its token once, when it starts: one that was rotated since is not its own until it is replaced. */
  #tokenOf(tenant: CopilotTenant, index: number, token: string, startedAt: number | undefined): string {
    const known = this.#known.get(keyOf(tenant))?.get(index);
    if (known === undefined) return token;
    if (known.started === undefined || known.started.at !== startedAt) known.started = { token, at: startedAt };
    return known.started.token;
  }

  /** Removes the servers of a tenant that is gone. */
  remove(request: NamespacedName): void {
    const key = keyOf(request);
    for (const index of this.#known.get(key)?.keys() ?? []) {
      this.#servers.remove(keyOf({ ...request, name: serverName(request.name, index) }));
    }
    this.#known.delete(key);
  }
}

function healthSettings(tenant: CopilotTenant): HealthSettings {
  const { interval, timeout, failureThreshold } = tenant.spec.health;
  const slow = tenant.spec.server.recycle?.maxPingLatency;
  return {
    intervalMs: durationMs(interval),
    timeoutMs: durationMs(timeout),
    failureThreshold,
    ...(slow !== undefined && { slowMs: durationMs(slow) }),
  };
}
