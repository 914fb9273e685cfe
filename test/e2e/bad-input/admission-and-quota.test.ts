// Children that the API server refuses, to the operator or to the controllers of Kubernetes when they create pods.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { StalledReason } from '../../../src/api/conditions.ts';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { Bystander } from '../../support/bystander.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';

jest.setTimeout(4 * READY_MS);

interface Case {
  what: string;
  tenant: string;
  spec: CopilotTenantSpecInput;
  reason: StalledReason;
  texts: string[];
  fix: (namespace: TestNamespace) => Promise<unknown>;
}

const requests = { cpu: '50m', memory: '128Mi' };
const raise = (quota: string, hard: Record<string, string>) => (namespace: TestNamespace) => {
  const patch = JSON.stringify({ spec: { hard } });
  return namespace.kubectl.ok(['patch', 'resourcequota', quota, '-n', namespace.name, '--type=merge', '-p', patch]);
};
const allow = (limitRange: string) => (namespace: TestNamespace) =>
  namespace.kubectl.ok(['delete', 'limitrange', limitRange, '-n', namespace.name]);

// Large enough for every tenant except that of a case.
const QUOTAS = { memory: { 'limits.memory': '40Gi' }, disk: { 'requests.storage': '40Gi' } };
/** Its pods have to have a limit of CPU. */
const RANK = 'copilot-operator-e2e-rank';
const RANKED = [{ scopeName: 'PriorityClass', operator: 'In', values: [RANK] }];
/** Of the cluster: a class, and a webhook that nobody answers for, which is called for pods of one tenant. */
const webhook = ({ name }: TestNamespace) => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'MutatingWebhookConfiguration',
  metadata: { name: `broken-${name}` },
  webhooks: [
    {
      name: 'pods.example.com',
      clientConfig: { url: 'https://127.0.0.1:1/mutate' },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
      objectSelector: { matchLabels: { 'copilot-operator.dev/tenant': 'hooked' } },
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      timeoutSeconds: 1,
    },
  ],
});
const priorityClass = {
  apiVersion: 'scheduling.k8s.io/v1',
  kind: 'PriorityClass',
  metadata: { name: RANK },
  value: 1,
  preemptionPolicy: 'Never',
};
const LIMIT_RANGES = {
  'small-containers': { type: 'Container', max: { memory: '64Gi' } },
  'small-claims': { type: 'PersistentVolumeClaim', max: { storage: '64Gi' } },
};

const cases: Case[] = [
  {
    what: 'limits below requests',
    tenant: 'contrary',
    spec: { server: { binary: 'runtime', resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } } },
    reason: 'InvalidSpec',
    texts: ['Deployment contrary-0', 'must be less than or equal to memory limit of 1Gi', "Correct the tenant's spec"],
    fix: (namespace) =>
      namespace.patchTenant('contrary', { spec: { server: { resources: { requests: { memory: '128Mi' } } } } }),
  },
  {
    what: 'a pod beyond the ResourceQuota',
    tenant: 'big-pod',
    spec: { server: { binary: 'runtime', resources: { requests, limits: { memory: '48Gi' } } } },
    reason: 'QuotaExceeded',
    texts: ['Pod of server big-pod-0', 'ResourceQuota memory', 'limits.memory=48Gi', 'Raise the quota or lower'],
    fix: raise('memory', { 'limits.memory': '400Gi' }),
  },
  {
    what: 'a claim beyond the ResourceQuota',
    tenant: 'big-claim',
    spec: { server: { binary: 'runtime' }, storage: { size: '48Gi' } },
    reason: 'QuotaExceeded',
    texts: [
      'PersistentVolumeClaim big-claim-0',
      'ResourceQuota disk',
      'requests.storage=48Gi',
      'Raise the quota or lower',
    ],
    fix: raise('disk', { 'requests.storage': '400Gi' }),
  },
  {
    what: 'a pod beyond the LimitRange',
    tenant: 'wide-pod',
    spec: { server: { binary: 'runtime', resources: { requests, limits: { memory: '65Gi' } } } },
    reason: 'LimitRangeViolated',
    texts: ['Pod of server wide-pod-0', 'maximum memory usage per Container is 64Gi', 'limit is 65Gi'],
    fix: allow('small-containers'),
  },
  {
    what: 'a claim beyond the LimitRange',
    tenant: 'wide-claim',
    spec: { server: { binary: 'runtime' }, storage: { size: '65Gi' } },
    reason: 'LimitRangeViolated',
    texts: ['PersistentVolumeClaim wide-claim-0', 'maximum storage usage per PersistentVolumeClaim is 64Gi', '65Gi'],
    fix: allow('small-claims'),
  },
  {
    what: 'a pod of an unknown priority class',
    tenant: 'unranked',
    spec: { server: { binary: 'runtime', priorityClassName: 'nobody-made-it' } },
    reason: 'PriorityClassNotFound',
    texts: [
      'Pod of server unranked-0',
      'needs PriorityClass nobody-made-it',
      'Create it, or correct spec.server.priorityClassName',
    ],
    fix: (namespace) => namespace.patchTenant('unranked', { spec: { server: { priorityClassName: null } } }),
  },
  {
    what: 'a pod without a limit that the ResourceQuota requires',
    tenant: 'unlimited',
    spec: { server: { binary: 'runtime', priorityClassName: RANK } },
    reason: 'ResourcesRequired',
    texts: [
      'Pod of server unlimited-0',
      'must specify limits.cpu',
      'Set spec.server.resources.limits.cpu, or defaults',
    ],
    fix: (namespace) =>
      namespace.patchTenant('unlimited', { spec: { server: { resources: { limits: { cpu: '1' } } } } }),
  },
  {
    what: 'a pod whose creation fails with status 500',
    tenant: 'hooked',
    spec: { server: { binary: 'runtime' } },
    reason: 'PodCreationFailed',
    texts: ['Pod of server hooked-0', 'failed calling webhook "pods.example.com"', 'It is retried'],
    fix: (namespace) => namespace.kubectl.ok(['delete', '-f', '-'], webhook(namespace)),
  },
];

describe('children that the API server refuses', () => {
  let namespace: TestNamespace;
  let operator: OperatorProcess;
  let bystander: Bystander;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    for (const [name, hard] of Object.entries(QUOTAS)) {
      const manifest = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name }, spec: { hard } };
      await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], manifest);
    }
    for (const [name, limit] of Object.entries(LIMIT_RANGES)) {
      const manifest = { apiVersion: 'v1', kind: 'LimitRange', metadata: { name }, spec: { limits: [limit] } };
      await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], manifest);
    }
    const ranked = { hard: { 'limits.cpu': '4' }, scopeSelector: { matchExpressions: RANKED } };
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'ranked' }, spec: ranked };
    await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], quota);
    for (const object of [priorityClass, webhook(namespace)]) {
      namespace.use({
        [Symbol.asyncDispose]: async () => {
          await namespace.kubectl.ok(['delete', '--ignore-not-found', '-f', '-'], object);
        },
      });
      await namespace.kubectl.ok(['apply', '-f', '-'], object);
    }
    operator = await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  it.concurrent.each(cases)(
    '$what is reported, and created once that is fixed',
    async ({ tenant, spec, reason, texts, fix }) => {
      await namespace.createTenant(tenant, spec);
      await expectStalled(namespace, tenant, reason, texts);
      await fix(namespace);
      await expectRecovered(namespace, tenant);
      await bystander.expectUntouched();
      // A refusal is reported; errors are only logged for what the operator cannot explain.
      expect(operator.errors().filter(({ name }) => name === tenant)).toEqual([]);
    },
  );
});
