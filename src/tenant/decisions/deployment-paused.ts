/** Decides whether a paused Deployment keeps a server from being replaced. */
import { StalledReason } from '../../api/conditions.ts';
import type { Deployment } from '../../kube/types/builtins.ts';
import { isRolloutComplete } from '../deployments.ts';
import type { TenantCause } from '../model.ts';

/**
 * The cause if a rollout waits for `kubectl rollout resume`. Pausing is left to the user and not reverted; while nothing is to be rolled
 * out it has no effect. `isServing`: the pod that is to be replaced serves, so the tenant stays Ready.
 */
export function deploymentPaused(deployment: Deployment | undefined, isServing: boolean): TenantCause | undefined {
  if (deployment?.spec?.paused !== true || isRolloutComplete(deployment)) return undefined;
  const { name } = deployment.metadata;
  return {
    reason: StalledReason.DeploymentPaused,
    message: `Deployment ${name} is paused, so the pod of server ${name} is not replaced. Run kubectl rollout resume deploy/${name}.`,
    ...(isServing && { isBesideServers: true }),
  };
}
