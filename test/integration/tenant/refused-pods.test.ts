// Pods that a real API server refuses: its own admission plugins write the texts. The test plays the ReplicaSet controller, which
// reports such a text in the Deployment.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { Deployment, PersistentVolumeClaim, Pod } from '../../../src/kube/types/builtins.ts';
import { StatusError } from '../../../src/kube/types/errors.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { serverMessage } from '../../../src/kube/write/refusal.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(120_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** Objects of the namespace, or of the cluster, that make the API server refuse the pods of servers. */
type Obstacle = (namespace: string) => { readonly status?: object; readonly object: object };

const quota =
  (hard: Record<string, string>, used: Record<string, string>): Obstacle =>
  (namespace) => ({
    object: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'team', namespace }, spec: { hard } },
    // Nobody here counts what is used.
    status: { hard, used },
  });
const limitRange =
  (limit: object): Obstacle =>
  (namespace) => ({
    object: {
      apiVersion: 'v1',
      kind: 'LimitRange',
      metadata: { name: 'team', namespace },
      spec: { limits: [{ type: 'Container', ...limit }] },
    },
  });
/** Nobody listens on the port. */
const brokenWebhook: Obstacle = (namespace) => ({
  object: {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: `broken-${namespace}` },
    webhooks: [
      {
        name: 'pods.example.com',
        clientConfig: { url: 'https://127.0.0.1:1/mutate' },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        timeoutSeconds: 1,
      },
    ],
  },
});
const priorityClass = {
  apiVersion: 'scheduling.k8s.io/v1',
  kind: 'PriorityClass',
  metadata: { name: 'absent' },
  value: 1,
};
const runtimeClass = {
  apiVersion: 'node.k8s.io/v1',
  kind: 'RuntimeClass',
  metadata: { name: 'absent' },
  handler: 'runc',
};

interface Case {
  readonly what: string;
  readonly spec?: CopilotTenantSpecInput;
  readonly obstacle?: Obstacle;
  /** What is missing; absent: the obstacle has to go. */
  readonly missing?: { readonly kind: string };
  readonly reason: string;
  readonly texts: readonly string[];
}

const cases: Case[] = [
  {
    what: 'an unknown priority class',
    spec: { server: { priorityClassName: 'absent' } },
    missing: priorityClass,
    reason: 'PriorityClassNotFound',
    texts: ['needs PriorityClass absent', 'Create it, or correct spec.server.priorityClassName'],
  },
  {
    what: 'an unknown runtime class',
    spec: { server: { runtimeClassName: 'absent' } },
    missing: runtimeClass,
    reason: 'RuntimeClassNotFound',
    texts: ['needs RuntimeClass absent', 'Create it, or correct spec.server.runtimeClassName'],
  },
  {
    what: 'a quota of limits that the tenant does not set',
    obstacle: quota({ 'limits.cpu': '4' }, { 'limits.cpu': '0' }),
    reason: 'ResourcesRequired',
    texts: ['must specify limits.cpu', 'Set spec.server.resources.limits.cpu, or defaults in a LimitRange'],
  },
  {
    what: 'a quota that is used up',
    obstacle: quota({ 'limits.memory': '8Gi' }, { 'limits.memory': '6Gi' }),
    reason: 'QuotaExceeded',
    texts: ['ResourceQuota team', 'limits.memory=4Gi', 'Raise the quota or lower'],
  },
  {
    what: 'a quota of pods that is used up',
    obstacle: quota({ pods: '3' }, { pods: '3' }),
    reason: 'QuotaExceeded',
    texts: ['ResourceQuota team', 'requested: pods=1', 'Raise the quota.'],
  },
  {
    what: 'a LimitRange with less memory',
    obstacle: limitRange({ max: { memory: '1Gi' } }),
    reason: 'LimitRangeViolated',
    texts: ['maximum memory usage per Container is 1Gi', 'Change spec.server.resources or the LimitRange'],
  },
  {
    what: 'a LimitRange of the ratio of limits to requests',
    obstacle: limitRange({ maxLimitRequestRatio: { memory: '2' } }),
    reason: 'LimitRangeViolated',
    texts: ['memory max limit to request ratio', 'Change spec.server.resources or the LimitRange'],
  },
  {
    what: 'a failure with status 500',
    obstacle: brokenWebhook,
    reason: 'PodCreationFailed',
    texts: ['failed calling webhook "pods.example.com"', 'It is retried; if that lasts, check them.'],
  },
];

/** Plays the ReplicaSet controller: it creates the pod, or reports why it could not. Returns whether it could. */
async function createPod(world: ReconcilerWorld, deployment: string): Promise<boolean> {
  const owner = await world.replicaSetOf(deployment);
  const { metadata, spec } = (await world.get(Deployment, deployment))?.spec?.template ?? {};
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name: `${owner.name}-abcde`, namespace: world.namespace, ownerReferences: [owner] },
    spec,
  };
  const failure = await world.client.create(Pod, pod as Pod, { dryRun: true }).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof StatusError) return serverMessage(error);
      throw error;
    },
  );
  const replicaFailure = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: failure };
  const status = { conditions: failure === undefined ? [] : [replicaFailure] };
  await world.patch(Deployment, deployment, { status }, 'status');
  return failure === undefined;
}

it.each(cases)('$what is told with its reason and the field, and over when it is fixed', async (each) => {
  const { spec, obstacle, missing, reason, texts } = each;
  await using world = await ReconcilerWorld.open(api.kubeconfig);
  const placed = obstacle?.(world.namespace);
  if (placed !== undefined) await api.kubectl.ok(['create', '-f', '-'], placed.object);
  if (placed?.status !== undefined) {
    const patch = JSON.stringify({ status: placed.status });
    const at = ['resourcequota', 'team', '-n', world.namespace, '--subresource=status', '--type=merge'];
    await api.kubectl.ok(['patch', ...at, '-p', patch]);
  }
  await world.createTenant('acme', spec);
  await world.settle();
  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  // The caches of the admission plugins follow a moment later.
  await waitFor('the pod is refused', async () => !(await createPod(world, 'acme-0')));
  await world.settle();
  const { status } = await world.tenant('acme');
  const [stalled, ready] = (['Stalled', 'Ready'] as const).map((type) => findCondition(status?.conditions, type));
  expect(stalled).toMatchObject({ status: 'True', reason });
  expect(ready).toMatchObject({ status: 'False', reason });
  for (const text of ['Pod of server acme-0', ...texts]) expect(stalled?.message).toContain(text);
  // Names of pods differ with each attempt, and a message that changes is a write.
  expect(stalled?.message).not.toContain('-abcde');

  if (missing !== undefined) await api.kubectl.ok(['create', '-f', '-'], missing);
  if (placed !== undefined) await api.kubectl.ok(['delete', '-f', '-'], placed.object);
  await waitFor('the pod is created', async () => createPod(world, 'acme-0'));
  await world.settle();
  const after = await world.tenant('acme');
  expect(findCondition(after.status?.conditions, 'Stalled')?.status).toBe('False');
});
