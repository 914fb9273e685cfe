/** Writes what a tenant's cleanup consists of, or takes it away. */
import { StalledReason } from '../../api/conditions.ts';
import { ConfigMap, CronJob, NetworkPolicy } from '../../kube/types/builtins.ts';
import { isControlledBy } from '../../kube/types/owner.ts';
import type { ResourceType } from '../../kube/types/resource.ts';
import type { KubeObject } from '../../kube/types/types.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { ChildWriter } from '../child-writer.ts';
import { cronJob } from '../builders/cronjob.ts';
import { cleanupNetworkPolicy } from '../builders/networkpolicy.ts';
import { sessionsConfigMap } from '../builders/sessionsconfigmap.ts';
import { cleanupScope, isPaused } from './cleanup-scope.ts';
import type { OperatorFacts, CleanupWorld, ServerWorld } from '../model.ts';

/** `servers`: what stands under the names of servers by now, wanted or not. */
export async function applyCleanup(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, cleanup }: { readonly tenant: CopilotTenant; readonly cleanup: CleanupWorld },
  servers: ReadonlyMap<number, ServerWorld>,
): Promise<void> {
  const { ttl } = tenant.spec.sessions;
  if (ttl === undefined) return removeCleanup(writer, tenant, cleanup);
  // First what says which sessions are kept: a CronJob that is there runs by it, whatever becomes of the CronJob below.
  const [kept] = await Promise.all([
    writer.apply(ConfigMap, sessionsConfigMap(tenant, cleanup.sessions), cleanup.configMap),
    writer.apply(NetworkPolicy, cleanupNetworkPolicy(tenant), cleanup.networkPolicy),
  ]);
  const refused = writer.refusals.length;
  const { operatorImage: image } = facts;
  if (image === undefined) {
    writer.refusals.push({
      reason: StalledReason.OperatorImageUnknown,
      message:
        'spec.sessions.ttl is set, but the operator does not know its own image, which cleanup runs: upgrade the chart, or set --operator-image.',
    });
  } else {
    const scope = cleanupScope(tenant, servers);
    // A run that knows nothing of the sessions that resources keep would delete them.
    const paused = kept === undefined || isPaused(scope);
    await writer.apply(CronJob, cronJob(tenant, { image, scope, paused }), cleanup.cronJob);
  }
  // A former rule must not go on deleting. An error that passes leaves it: the next try comes soon.
  if (writer.refusals.length > refused) await removeOwn(writer, tenant, CronJob, cleanup.cronJob);
}

async function removeCleanup(writer: ChildWriter, tenant: CopilotTenant, cleanup: CleanupWorld): Promise<void> {
  // First what makes pods, and last what fences them.
  await removeOwn(writer, tenant, CronJob, cleanup.cronJob);
  await removeOwn(writer, tenant, ConfigMap, cleanup.configMap);
  await removeOwn(writer, tenant, NetworkPolicy, cleanup.networkPolicy);
}

async function removeOwn<T extends KubeObject>(
  writer: ChildWriter,
  tenant: CopilotTenant,
  type: ResourceType<T>,
  live: T | undefined,
): Promise<void> {
  if (live !== undefined && isControlledBy(live, tenant)) await writer.delete(type, live);
}
