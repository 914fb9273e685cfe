/** Adds the fleet to the manager of the process: what is watched, and when owners are read. */
import type { Manager } from '../../kube/runtime/manager.ts';
import { controllerManagedBy } from '../../kube/runtime/builder.ts';
import { Pod } from '../../kube/types/builtins.ts';
import { fromKey } from '../../kube/types/types.ts';
import { CachedFleet } from './fleet.ts';
import {
  DRAINING_INDEX,
  drainingKeys,
  RoutedTenant,
  SERVER_PODS,
  slimPod,
  slimTenant,
  TENANT_INDEX,
  tenantKeyOf,
} from './slim.ts';

/** Tenants whose owners of pods are read at the same time: thousands, where a gateway starts. */
const CONCURRENCY = 16;
/** The longest back-off after an owner could not be read, in ms: clients of the tenant wait for it. */
const MAX_RETRY_DELAY_MS = 5_000;

/** What the fleet uses of the manager. */
export type FleetManager = Pick<Manager, 'client' | 'clock' | 'log' | 'metrics' | 'informer' | 'addController'>;

/**
 * The fleet starts with the manager, and stops when everything else has ended: the clients of a gateway that stops stay for up to an hour,
 * in which pods of their servers are replaced.
 */
export function addFleet(manager: FleetManager): CachedFleet {
  const tenants = manager.informer(RoutedTenant, {
    transform: slimTenant,
    indexers: { [DRAINING_INDEX]: drainingKeys },
  });
  const pods = manager.informer(Pod, {
    labelSelector: SERVER_PODS,
    transform: slimPod,
    indexers: { [TENANT_INDEX]: (pod) => [tenantKeyOf(pod)] },
  });
  const { client, clock } = manager;
  const fleet = new CachedFleet({ client, clock, tenants, pods });
  controllerManagedBy(manager)
    .named('gateway-fleet')
    .withOptions({ concurrency: CONCURRENCY, maxRetryDelayMs: MAX_RETRY_DELAY_MS, stopsLast: true })
    .for(tenants)
    .watches(pods, (pod) => [fromKey(tenantKeyOf(pod))], { predicate: isAnother })
    .complete(fleet);
  return fleet;
}

/** Whose a pod is does not change with its status. */
function isAnother(old: Pod, pod: Pod): boolean {
  return tenantKeyOf(old) !== tenantKeyOf(pod);
}
