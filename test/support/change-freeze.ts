// A policy of the cluster that refuses changes.
import { CronJob, Deployment, PodDisruptionBudget } from '../../src/kube/types/builtins.ts';
import { isNotFound } from '../../src/kube/types/errors.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { ReconcilerWorld } from './reconciler-world.ts';
import type { TenantApi } from './tenant-api.ts';
import { waitFor } from './wait.ts';

type Frozen = 'poddisruptionbudgets' | 'deployments' | 'cronjobs';

/** What the policy says. */
export const REFUSAL = 'change freeze until Monday';

const FROZEN: Readonly<Record<Frozen, { readonly type: ResourceType; readonly apiGroup: string }>> = {
  poddisruptionbudgets: { type: PodDisruptionBudget, apiGroup: 'policy' },
  deployments: { type: Deployment, apiGroup: 'apps' },
  cronjobs: { type: CronJob, apiGroup: 'batch' },
};

/**
 * Refuses every change of these objects of the namespace, of which `name` is one. Resolves when that is in force, to what ends it, and resolves
 * when it has.
 */
export async function freeze(
  { kubectl }: TenantApi,
  { namespace, client }: ReconcilerWorld,
  resource: Frozen,
  name: string,
  operations: readonly ('CREATE' | 'UPDATE' | 'DELETE')[] = ['UPDATE'],
): Promise<() => Promise<void>> {
  const { type, apiGroup } = FROZEN[resource];
  const policy = `freeze-${resource}-${namespace}`;
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const rule = { apiGroups: [apiGroup], apiVersions: ['v1'], operations, resources: [resource] };
  await kubectl.ok(['create', '-f', '-'], {
    apiVersion,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: policy },
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        resourceRules: [rule],
      },
      validations: [{ expression: 'false', message: REFUSAL }],
    },
  });
  await kubectl.ok(['create', '-f', '-'], {
    apiVersion,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: policy },
    spec: { policyName: policy, validationActions: ['Deny'] },
  });
  const isRefused = (): Promise<boolean> =>
    client
      .patch(
        type,
        { namespace, name },
        { metadata: { labels: { probe: 'yes' } } },
        { contentType: 'application/merge-patch+json', dryRun: true },
      )
      .then(
        () => false,
        (error: unknown) => {
          if (String(error).includes(REFUSAL)) return true;
          if (isNotFound(error)) return false;
          throw error;
        },
      );
  await waitFor('the policy is in force', isRefused);
  return async () => {
    for (const kind of ['validatingadmissionpolicybinding', 'validatingadmissionpolicy']) {
      await kubectl.ok(['delete', kind, policy]);
    }
    await waitFor('the policy is no longer in force', async () => !(await isRefused()));
  };
}
