// A policy of the cluster that changes the operator's Deployments each time they are written: a new process must see that nothing is to do.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Service,
  ServiceAccount,
} from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(120_000);

const SERVERS = ['acme-0', 'acme-1', 'acme-2'];
const GRACE_SECONDS = 40;

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** Changes every Deployment of the namespace at CREATE and UPDATE, from when it is in force. */
async function changeDeployments(world: ReconcilerWorld): Promise<void> {
  const name = `grace-${world.namespace}`;
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const expression = `[JSONPatch{op: "replace", path: "/spec/template/spec/terminationGracePeriodSeconds", value: ${GRACE_SECONDS}}]`;
  const operations = ['CREATE', 'UPDATE'];
  await api.kubectl.ok(['create', '-f', '-'], {
    apiVersion,
    kind: 'MutatingAdmissionPolicy',
    metadata: { name },
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      matchConstraints: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': world.namespace } },
        resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations, resources: ['deployments'] }],
      },
      mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression } }],
    },
  });
  await api.kubectl.ok(['create', '-f', '-'], {
    apiVersion,
    kind: 'MutatingAdmissionPolicyBinding',
    metadata: { name },
    spec: { policyName: name },
  });
  const labels = { app: 'probe' };
  const probe = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'probe', namespace: world.namespace },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'probe', image: 'localhost/probe' }] },
      },
    },
  };
  await waitFor('the policy is in force', async () => {
    const { spec } = await world.client.create(Deployment, probe, { dryRun: true });
    return spec?.template.spec?.terminationGracePeriodSeconds === GRACE_SECONDS;
  });
}

/** All servers have started, and the last of them is healthy. */
async function startServers(world: ReconcilerWorld): Promise<void> {
  await world.createTenant('acme', { replicas: SERVERS.length });
  await world.settle();
  for (const [index, server] of SERVERS.entries()) {
    await world.patch(PersistentVolumeClaim, server, { status: { phase: 'Bound' } }, 'status');
    await world.startPod('acme', index);
  }
  await world.settle();
  setHealthy(world);
  await world.reconcile('acme');
  await world.settle();
}

/** Another process of the operator. Its caches are complete before it reconciles, and the servers still answer. */
async function restart(world: ReconcilerWorld): Promise<ReconcilerWorld & AsyncDisposable> {
  const restarted = await ReconcilerWorld.open(api.kubeconfig, world.namespace);
  setHealthy(restarted);
  const tenantLast = [
    Pod,
    Deployment,
    PersistentVolumeClaim,
    Service,
    ServiceAccount,
    NetworkPolicy,
    PodDisruptionBudget,
  ];
  await restarted.sync(...(tenantLast as ResourceType[]));
  await restarted.settle();
  return restarted;
}

function setHealthy(world: ReconcilerWorld): void {
  for (const server of SERVERS) {
    world.health.set(`${world.namespace}/${server}`, { state: 'Healthy', version: '1.0', since: 0 });
  }
}

async function versions(world: ReconcilerWorld): Promise<(string | undefined)[]> {
  const found = await Promise.all(SERVERS.map((server) => world.get(Deployment, server)));
  return found.map((deployment) => deployment?.metadata.resourceVersion);
}

const ready = async (world: ReconcilerWorld) => {
  const { status, reason } = findCondition((await world.tenant('acme')).status?.conditions, 'Ready') ?? {};
  return [status, reason];
};

it('a tenant of three servers whose Deployments a policy changes stays Ready when the operator restarts, and nothing is written', async () => {
  await using world = await ReconcilerWorld.open(api.kubeconfig);
  await changeDeployments(world);
  await startServers(world);
  expect(await ready(world)).toEqual(['True', 'ServersReady']);
  const grace = (await world.get(Deployment, 'acme-0'))?.spec?.template.spec?.terminationGracePeriodSeconds;
  expect(grace).toBe(GRACE_SECONDS);
  const before = [...(await versions(world)), (await world.tenant('acme')).metadata.resourceVersion];
  for (const _restart of [1, 2]) {
    await using restarted = await restart(world);
    await restarted.advance(120_000);
    expect(await ready(restarted)).toEqual(['True', 'ServersReady']);
    expect([...(await versions(restarted)), (await restarted.tenant('acme')).metadata.resourceVersion]).toEqual(before);
  }
});

it('such a tenant still gets its own changes, one server after the other', async () => {
  await using world = await ReconcilerWorld.open(api.kubeconfig);
  await changeDeployments(world);
  await startServers(world);
  await using restarted = await restart(world);
  const [first, ...others] = await versions(restarted);
  await restarted.patch(CopilotTenant, 'acme', {
    spec: { server: { image: 'example.com/copilot-cli:2' } },
  });
  await restarted.settle();
  const [changed, ...left] = await versions(restarted);
  expect([changed === first, left]).toEqual([false, others]);
  expect(await ready(restarted)).toEqual(['False', 'ServersUpdating']);
});
