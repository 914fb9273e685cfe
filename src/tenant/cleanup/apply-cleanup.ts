/** Applies the objects of a tenant's cleanup, or deletes them when `spec.sessions.ttl` is not set. */
import { StalledReason } from '../../api/conditions.ts';
import { ConfigMap, CronJob, NetworkPolicy } from '../../kube/types/builtins.ts';
import { cronJob } from '../builders/cronjob.ts';
import { cleanupNetworkPolicy } from '../builders/networkpolicy.ts';
import { sessionsConfigMap } from '../builders/sessionsconfigmap.ts';
import type { ChildWriter } from '../child-writer.ts';
import type { CleanupWorld, OperatorFacts, ServerWorld, World } from '../model.ts';
import { cleanupScope, isPaused } from './cleanup-scope.ts';

/** `servers`: all servers of the tenant after the writes of this reconcile. */
export async function applyCleanup(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, cleanup, shared }: Pick<World, 'tenant' | 'cleanup' | 'shared'>,
  servers: ReadonlyMap<number, ServerWorld>,
): Promise<void> {
  const { ttl } = tenant.spec.sessions;
  if (ttl === undefined) return deleteCleanup(writer, cleanup);
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
    const scope = cleanupScope(tenant, servers, shared?.claim);
    // Without the ConfigMap a run would delete sessions that CopilotSessions keep.
    const paused = kept === undefined || isPaused(scope);
    await writer.apply(CronJob, cronJob(tenant, { image, scope, paused }), cleanup.cronJob);
  }
  // A CronJob with an outdated TTL must not keep deleting. After an error that is no refusal it stays: the retry replaces it.
  if (writer.refusals.length > refused) await writer.deleteOwn(CronJob, cleanup.cronJob);
}

async function deleteCleanup(writer: ChildWriter, cleanup: CleanupWorld): Promise<void> {
  // Orphans too: an orphaned CronJob would go on deleting sessions by the rules of the previous tenant.
  await writer.deleteOwn(CronJob, cleanup.cronJob);
  await writer.deleteOwn(ConfigMap, cleanup.configMap);
  // Last, while there may still be pods.
  await writer.deleteOwn(NetworkPolicy, cleanup.networkPolicy);
}
