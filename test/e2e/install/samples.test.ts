// Every sample of config/samples, as it is, on the real cluster.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { join } from 'node:path';
import { AksStandIn } from '../../support/aks-stand-in.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { PROJECT } from '../../support/tenant-api.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';

// All at once: eleven servers start beside each other.
jest.setTimeout(4 * READY_MS);

/** On a node that this test has labelled, so that a run that was broken off can be told from somebody's pool. */
const OURS = 'copilot-operator.dev/test=samples';

let namespace: TestNamespace;

const unlabel = () => namespace.kubectl.ok(['label', 'nodes', '-l', OURS, 'workload-', `${OURS.split('=')[0]}-`]);

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await unlabel();
  await AksStandIn.clear(namespace.kubectl);
  await namespace.startOperator();
  await namespace.kubectl.ok(['apply', '-n', namespace.name, '-k', join(PROJECT, 'config/samples')]);
});
afterAll(() => namespace.close());

const ready = (tenant: string) =>
  namespace.waitForTenant(tenant, 'is Ready', (found) => conditionOf(found, 'Ready').status === 'True', 2 * READY_MS);

describe('the sample', () => {
  it.each([
    ['minimal', 'acme', '1/1', 'ClientProvided'],
    ['GitHub token, made up', 'octo', '1/1', 'GitHub'],
    ['own provider', 'initech', '1/1', 'Provider'],
    ['three servers', 'globex', '3/3', 'ClientProvided'],
    ['light runtime', 'hooli', '1/1', 'ClientProvided'],
    ['session', 'soylent', '1/1', 'ClientProvided'],
    ['cleanup', 'vandelay', '1/1', 'ClientProvided'],
    ['company network', 'stark', '1/1', 'ClientProvided'],
  ])('%s becomes Ready', async (_sample, tenant, serversReady, model) => {
    const found = await ready(tenant);
    expect(found.status?.serversReady).toBe(serversReady);
    expect(conditionOf(found, 'Healthy').status).toBe('True');
    expect(conditionOf(found, 'ModelConfigured')).toMatchObject({ status: 'True', reason: model });
  });

  it('own provider is found by clients in the binding Secret', async () => {
    await ready('initech');
    expect(await namespace.secret('initech-binding')).toMatchObject({
      model: 'gpt-oss-120b',
      'model-provider-base-url': 'https://models.example.com/v1',
      'model-provider-api-key': 'REPLACE-WITH-AN-API-KEY',
    });
  });

  // A taint would keep everybody else's pods off this only node, so it is the label alone that comes and goes.
  it('node pool waits for a node of the pool, and takes it when it comes', async () => {
    await expectStalled(namespace, 'umbrella', 'Unschedulable', [
      'Server umbrella-0: the pod cannot be scheduled',
      'node affinity/selector',
      'Check spec.server.resources, nodeSelector, tolerations and affinity',
    ]);
    // One that runs pods: there may be others that kwok plays.
    await ready('hooli');
    const node = (await namespace.pods('hooli'))[0]?.spec?.nodeName ?? '';
    await namespace.kubectl.ok(['label', 'node', node, 'workload=agents', OURS]);
    try {
      await expectRecovered(namespace, 'umbrella');
      const [pod] = await namespace.pods('umbrella');
      expect(pod?.spec?.nodeName).toBe(node);
      const tolerated = { key: 'workload', operator: 'Equal', value: 'agents', effect: 'NoSchedule' };
      expect(pod?.spec?.tolerations).toContainEqual(tolerated);
    } finally {
      await unlabel();
    }
  });

  it('AKS virtual nodes waits for the StorageClass and the node of AKS, and takes them when they come', async () => {
    const stalled = await namespace.waitForTenant(
      'wayne',
      'says what it waits for',
      // Whichever is seen first: both are missing. Before that the claim is only pending.
      (found) => ['StorageClassNotFound', 'Unschedulable'].includes(conditionOf(found, 'Stalled').reason),
      READY_MS,
    );
    const { message } = conditionOf(stalled, 'Stalled');
    expect(message).toMatch(/StorageClass azurefile-csi not found|node affinity\/selector/);
    await ready('hooli');
    const node = (await namespace.pods('hooli'))[0]?.spec?.nodeName ?? '';
    const aks = await AksStandIn.make(namespace.kubectl, node);
    try {
      await expectRecovered(namespace, 'wayne');
      const [pod] = await namespace.pods('wayne');
      expect(pod?.spec?.nodeName).toBe(node);
      const tolerated = { key: 'virtual-kubelet.io/provider', operator: 'Exists', effect: 'NoSchedule' };
      expect(pod?.spec?.tolerations).toContainEqual(tolerated);
    } finally {
      await aks.remove();
    }
  });
});
