// `kubectl drain` of the node while a client of the gateway waits for its answer. The node is the only one, so nothing may run beside this test.
import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { approveAll } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { PodDisruptionBudget, Secret } from '../../../src/kube/types/builtins.ts';
import { bindingFrom, withClient } from '../../support/chat.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { startGatewayBeside } from '../../support/gateway-beside.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

let namespace: TestNamespace;
let model: ModelInCluster;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  model = await ModelInCluster.start(namespace);
  await startGatewayBeside(namespace, ['--watch-nodes']);
  await namespace.createTenant('acme', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
  await namespace.waitForReady('acme');
}, 4 * READY_MS);
afterEach(() => namespace.kubectl.ok(['uncordon', '--selector=kubernetes.io/os=linux']));
afterAll(() => namespace.close());

const podOf = async (tenant: string) => (await namespace.pods(tenant))[0];

it('waits for the turn, ends, and the next prompt is answered when a node takes the server again', async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  await model.script({ match: first, steps: [{ text: 'one two three four', delayMs: 1000 }] });
  await model.script({ match: second, steps: [{ text: 'on the next pod' }] });
  const pod = await podOf('acme');
  const node = pod?.spec?.nodeName ?? '';
  await waitFor(
    'evictions are refused',
    async () => (await namespace.get(PodDisruptionBudget, 'acme-servers'))?.status?.disruptionsAllowed === 0,
    { withinMs: 60_000 },
  );
  const { data = {} } = await namespace.client.get(Secret, namespace.ref('acme-binding'));
  const binding = bindingFrom(data);
  await withClient(binding, async (client) => {
    const session = await client.createSession({ onPermissionRequest: approveAll, model: 'test-model' });
    const turn = session.sendAndWait({ prompt: first }, READY_MS);
    await waitFor('the model is asked', async () => (await model.journal(first)).length > 0, { withinMs: 30_000 });
    const options = ['--ignore-daemonsets', '--delete-emptydir-data', `--timeout=${READY_MS / 1000}s`];
    const selector = `--pod-selector=copilot-operator.dev/tenant=acme`;
    const drained = namespace.kubectl.try(['drain', node, selector, ...options]);
    const { status } = await namespace.waitForTenant(
      'acme',
      'drains',
      (tenant) => tenant.status?.servers?.[0]?.state === 'Draining',
    );
    expect(status?.servers?.[0]?.drain).toMatchObject({ reason: 'NodeDraining', podUID: pod?.metadata.uid });
    const next = turn.then(() => session.sendAndWait({ prompt: second }, READY_MS));
    expect((await turn)?.data.content).toBe('one two three four');
    const { code, stderr } = await drained;
    expect([code, stderr]).toEqual([0, expect.stringContaining("violate the pod's disruption budget")]);
    await namespace.kubectl.ok(['uncordon', node]);
    expect((await next)?.data.content).toBe('on the next pod');
  });
  expect((await podOf('acme'))?.metadata.uid).not.toBe(pod?.metadata.uid);
});
