/** Opens the coordination store that the flags name. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { KubernetesStore } from '../../gateway/locks/kubernetes/kubernetes-store.ts';
import { MemoryStore } from '../../gateway/locks/memory-store.ts';
import { ObservedStore } from '../../gateway/locks/observed-store.ts';
import { SoleGateway, type SoleGatewayOptions } from '../../gateway/locks/sole-gateway.ts';
import type { CoordinationStore } from '../../gateway/locks/store.ts';
import { CoordinationMetrics } from '../../gateway/report/coordination-metrics.ts';
import type { Manager } from '../../kube/runtime/manager.ts';
import { ConfigError } from '../../kube/types/errors.ts';
import type { CoordinationOptions } from './coordination-options.ts';
import type { GatewayOptions } from './options.ts';

/**
 * Nothing is connected before the first operation; files that the flags name are read at once. It is to be closed after all that uses it.
 * @throws ConfigError for a file that cannot be used
 */
export async function openCoordination(
  { client, clock, random, log }: Pick<Manager, 'client' | 'clock' | 'random' | 'log'>,
  options: CoordinationOptions,
  namespace: string,
  registry: Registry,
): Promise<CoordinationStore> {
  const open = async (): Promise<CoordinationStore> => {
    if (options.type === 'redis') {
      const { openRedisStore } = await import('../../gateway/locks/redis/open-redis-store.ts');
      return openRedisStore(options.redis, { clock, random, log });
    }
    return options.type === 'memory' ? new MemoryStore() : new KubernetesStore({ client, clock, namespace });
  };
  const observer = new CoordinationMetrics(registry);
  const store = new ObservedStore({ store: await open(), clock, observer });
  observer.watch(store);
  // Redis says it itself, with each attempt.
  if (options.type === 'kubernetes') logChanges(store, log);
  return store;
}

/**
 * With a store in memory: waits until no other gateway runs, and returns what keeps them from it; undefined: others may run. `Refused`: one does,
 * which the log says. `Stopped`: by the signal.
 */
export async function claimAlone(
  { coordination, pod }: Pick<GatewayOptions, 'coordination' | 'pod'>,
  { stop, ...means }: Omit<SoleGatewayOptions, 'pod' | 'id'> & { readonly log: Logger; readonly stop: AbortSignal },
): Promise<SoleGateway | 'Refused' | 'Stopped' | undefined> {
  if (coordination.type !== 'memory') return undefined;
  const id = randomUUID();
  // Two processes of one machine are no successors of each other.
  const sole = new SoleGateway({ ...means, pod: pod.name ?? `${hostname().toLowerCase()}-${id}`, id });
  try {
    await sole.claim(stop);
    return sole;
  } catch (error) {
    if (stop.aborted) return 'Stopped';
    if (!(error instanceof ConfigError)) throw error;
    means.log.fatal(error.message);
    return 'Refused';
  }
}

/** Once, until it answers again: what each operation fails with names its Lease. */
function logChanges(store: CoordinationStore, log: Pick<Logger, 'info' | 'warn'>): void {
  let isAway = false;
  store.onAvailability((now) => {
    const wasAway = isAway;
    isAway = now.state === 'Unavailable';
    if (now.state === 'Unavailable' && !wasAway)
      log.warn({ reason: now.reason, error: now.message }, 'the coordination store cannot be used');
    if (!isAway && wasAway) log.info('the coordination store answers again');
  });
}
