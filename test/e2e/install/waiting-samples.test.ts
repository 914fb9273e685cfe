// The samples that wait for a node that this cluster has not, as they are. Apart from the others: a node of two CPUs has no room for all.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { join } from 'node:path';
import { AksStandIn } from '../../support/aks-stand-in.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { PROJECT } from '../../support/tenant-api.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';

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
  for (const sample of ['light-runtime', 'node-pool', 'aks-virtual-nodes']) {
    await namespace.kubectl.ok([
      'apply',
      '-n',
      namespace.name,
      '-f',
      join(PROJECT, 'config/samples', `${sample}.yaml`),
    ]);
  }
});
afterAll(() => namespace.close());

/** A node that runs pods: there may be others that kwok plays. */
async function node(): Promise<string> {
  await namespace.waitForTenant(
    'hooli',
    'is Ready',
    (found) => conditionOf(found, 'Ready').status === 'True',
    2 * READY_MS,
  );
  return (await namespace.pods('hooli'))[0]?.spec?.nodeName ?? '';
}

describe('the sample', () => {
  // A taint would keep everybody else's pods off this only node, so it is the label alone that comes and goes.
  it('node pool waits for a node of the pool, and takes it when it comes', async () => {
    await expectStalled(namespace, 'umbrella', 'Unschedulable', [
      'Server umbrella-0: the pod cannot be scheduled',
      'node affinity/selector',
      'Check spec.server.resources, nodeSelector, tolerations and affinity',
    ]);
    const pool = await node();
    await namespace.kubectl.ok(['label', 'node', pool, 'workload=agents', OURS]);
    try {
      await expectRecovered(namespace, 'umbrella');
      const [pod] = await namespace.pods('umbrella');
      expect(pod?.spec?.nodeName).toBe(pool);
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
    const virtual = await node();
    const aks = await AksStandIn.make(namespace.kubectl, virtual);
    try {
      await expectRecovered(namespace, 'wayne');
      const [pod] = await namespace.pods('wayne');
      expect(pod?.spec?.nodeName).toBe(virtual);
      const tolerated = { key: 'virtual-kubelet.io/provider', operator: 'Exists', effect: 'NoSchedule' };
      expect(pod?.spec?.tolerations).toContainEqual(tolerated);
    } finally {
      await aks.remove();
    }
  });
});
