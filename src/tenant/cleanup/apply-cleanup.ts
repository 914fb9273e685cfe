/** Applies the objects of a tenant's cleanup, or deletes them when `spec.sessions.ttl` is not set. */
import { StalledReason } from '../../api/conditions.ts';
import { ConfigMap, CronJob, NetworkPolicy } from '../../kube/types/builtins.ts';
import type { ResourceType } from '../../kube/types/resource.ts';
import type { KubeObject } from '../../kube/types/types.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { cronJob } from '../builders/cronjob.ts';
import { cleanupNetworkPolicy } from '../builders/networkpolicy.ts';
import { sessionsConfigMap } from '../builders/sessionsconfigmap.ts';
import type { ChildWriter } from '../child-writer.ts';
import { isOwnOrOrphan } from '../decisions/adoption.ts';
import type { CleanupWorld, OperatorFacts, ServerWorld } from '../model.ts';
import { cleanupScope, isPaused } from './cleanup-scope.ts';

/** `servers`: all servers of the tenant after the writes of this reconcile. */
export async function applyCleanup(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, cleanup }: { readonly tenant: CopilotTenant; readonly cleanup: CleanupWorld },
  servers: ReadonlyMap<number, ServerWorld>,
): Promise<void> {
  const { ttl } = tenant.spec.sessions;
  if (ttl === undefined) return deleteCleanup(writer, tenant, cleanup);
  // The ConfigMap says which sessions are kept, and an existing CronJob reads it even if the CronJob cannot be applied below.
  const [kept] = await Promise.all([
    writer.apply(ConfigMap, sessionsConfigMap(tenant, cleanup.sessions), cleanup.configMap),
    writer.apply(NetworkPolicy, cleanupNetworkPolicy(tenant, facts), cleanup.networkPolicy),
  ]);
  const refused = writer.refusals.length;
  const { operatorImage: image } = facts;
  if (image === undefined) {
    writer.refusals.push({
      reason: StalledReason.OperatorImageUnknown,
      message:
        'spec.sessions.ttl is set, but the operator does not know its own image, which the cleanup CronJob needs: upgrade the chart, or set --operator-image of the operator.',
    });
  } else {
    const scope = cleanupScope(tenant, servers);
    // Without the ConfigMap a run would delete sessions that CopilotSessions keep.
    const paused = kept === undefined || isPaused(scope);
    await writer.apply(CronJob, cronJob(tenant, { image, scope, paused }), cleanup.cronJob);
  }
  // A CronJob with an outdated TTL must not keep deleting. After an error that is no refusal it stays: the retry replaces it.
  if (writer.refusals.length > refused) await deleteOwn(writer, tenant, CronJob, cleanup.cronJob);
}

async function deleteCleanup(writer: ChildWriter, tenant: CopilotTenant, cleanup: CleanupWorld): Promise<void> {
  // The NetworkPolicy last, while there may still be pods.
  await deleteOwn(writer, tenant, CronJob, cleanup.cronJob);
  await deleteOwn(writer, tenant, ConfigMap, cleanup.configMap);
  await deleteOwn(writer, tenant, NetworkPolicy, cleanup.networkPolicy);
}

async function deleteOwn<T extends KubeObject>(
  writer: ChildWriter,
  tenant: CopilotTenant,
  type: ResourceType<T>,
  live: T | undefined,
): Promise<void> {
  // An orphaned CronJob would go on deleting sessions by the rules of the previous tenant.
  if (live !== undefined && isOwnOrOrphan(live, tenant)) await writer.delete(type, live);
}
