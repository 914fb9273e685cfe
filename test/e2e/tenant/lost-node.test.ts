// A node that stops responding, on a real cluster: its node controller notices, and nobody starts a second pod on the volume. The node has no
// kubelet; the test is it until the node is lost.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Pod } from '../../../src/kube/types/builtins.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(6 * READY_MS);

/** The node controller takes a node for lost after 50 s; the status says so within a minute of that. */
const TOLD_MS = 150_000;

const node = `e2e-${randomBytes(3).toString('hex')}`;
let namespace: TestNamespace;
beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
});
afterAll(async () => {
  await namespace.kubectl.ok(['delete', 'node', node, '--ignore-not-found']);
  await namespace.close();
  await namespace.kubectl.ok(['delete', 'pv', node, '--ignore-not-found']);
});

const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
const patchStatus = (kind: string, name: string, status: object) =>
  kubectl('patch', kind, name, '--subresource=status', '--type=merge', '--patch', JSON.stringify({ status }));

async function makeNode(): Promise<void> {
  const labels = { 'kubernetes.io/hostname': node, 'e2e-node': node };
  await namespace.kubectl.ok(['create', '-f', '-'], {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node, labels },
    // Pods of other tests would wait there for a kubelet.
    spec: { taints: [{ key: 'e2e-node', value: node, effect: 'NoSchedule' }] },
  });
  const now = new Date().toISOString();
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'KubeletReady',
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  };
  const capacity = { cpu: '8', memory: '16Gi', pods: '50' };
  await patchStatus('node', node, { conditions: [ready], capacity, allocatable: capacity });
  await namespace.kubectl.ok(['create', '-f', '-'], {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: node },
    spec: {
      storageClassName: node,
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      hostPath: { path: '/nowhere' },
    },
  });
}

/** What a kubelet says of a pod that serves. */
async function runPod({ metadata: { name } }: Pod): Promise<void> {
  const startedAt = new Date().toISOString();
  const container = {
    name: 'server',
    image: 'i',
    imageID: 'i',
    ready: true,
    started: true,
    restartCount: 0,
    state: { running: { startedAt } },
  };
  const conditions = ['Ready', 'ContainersReady', 'Initialized'].map((type) => ({ type, status: 'True' }));
  await namespace.client.patch(
    Pod,
    namespace.ref(name),
    {
      status: {
        phase: 'Running',
        podIP: '192.0.2.1',
        podIPs: [{ ip: '192.0.2.1' }],
        conditions,
        containerStatuses: [container],
      },
    },
    { contentType: 'application/strategic-merge-patch+json', subresource: 'status' },
  );
}

it('is told with pod, node and what to do, and no second pod is started until the first one is gone', async () => {
  await makeNode();
  await namespace.createTenant('acme', {
    server: {
      binary: 'runtime',
      nodeSelector: { 'e2e-node': node },
      tolerations: [{ key: 'e2e-node', value: node, effect: 'NoSchedule' }],
    },
    storage: { storageClassName: node },
  });
  const pod = await waitFor(
    'the pod is on the node',
    async () => (await namespace.pods('acme')).find(({ spec }) => spec?.nodeName === node),
    { withinMs: 60_000, everyMs: 200 },
  );
  await runPod(pod);
  const told = await namespace.waitForStalled('acme', 'NodeLost', TOLD_MS);
  const { message } = conditionOf(told, 'Stalled');
  expect(message).toContain(`node ${node} of pod ${pod.metadata.name} does not respond`);
  expect(message).toContain(`kubectl taint nodes ${node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`);
  expect(message).toContain(`kubectl delete pod ${pod.metadata.name} --force`);
  expect(conditionOf(told, 'Ready')).toMatchObject({ status: 'False', reason: 'NodeLost' });
  expect((await namespace.pods('acme')).map(({ metadata }) => metadata.uid)).toEqual([pod.metadata.uid]);

  // As the message says; the Deployment then makes another pod.
  await kubectl('delete', 'pod', pod.metadata.name, '--force');
  const next = await waitFor(
    'there is another pod',
    async () => {
      const pods = await namespace.pods('acme');
      return pods.length === 1 && pods[0]?.metadata.uid !== pod.metadata.uid ? pods[0] : undefined;
    },
    { withinMs: 60_000, everyMs: 200 },
  );
  await kubectl('delete', 'ct', 'acme', '--wait=false');
  await kubectl('delete', 'pod', next.metadata.name, '--force', '--ignore-not-found');
});
