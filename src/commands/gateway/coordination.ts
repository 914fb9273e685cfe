/** Opens the coordination store that the flags name. */
import type { Registry } from 'prom-client';
import { KubernetesStore } from '../../gateway/locks/kubernetes/kubernetes-store.ts';
import { MemoryStore } from '../../gateway/locks/memory-store.ts';
import { ObservedStore } from '../../gateway/locks/observed-store.ts';
import type { CoordinationStore } from '../../gateway/locks/store.ts';
import { CoordinationMetrics } from '../../gateway/report/coordination-metrics.ts';
import type { Manager } from '../../kube/runtime/manager.ts';
import type { CoordinationOptions } from './coordination-options.ts';

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
  return store;
}
