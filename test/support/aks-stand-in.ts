// A node and a StorageClass of the local cluster in place of those of AKS, for the sample config/samples/aks-virtual-nodes.yaml.
import type { Kubectl } from './tools.ts';

const STORAGE_CLASS = 'azurefile-csi';
/** On what this file has made or labelled, so that nothing of a real AKS is taken for it. Not the key by which tests label the same node. */
const OURS = 'copilot-operator.dev/test-aks=yes';
const [OURS_KEY = ''] = OURS.split('=');

/** Cluster-scoped: remove it, also when the test failed. */
export class AksStandIn {
  readonly #kubectl: Kubectl;

  private constructor(kubectl: Kubectl) {
    this.#kubectl = kubectl;
  }

  /** From now on `node` counts as a virtual node, and its disk as Azure Files. A cluster that has the class keeps its own. */
  static async make(kubectl: Kubectl, node: string): Promise<AksStandIn> {
    await AksStandIn.clear(kubectl);
    const found = await kubectl.ok(['get', 'storageclass', STORAGE_CLASS, '--ignore-not-found', '-o', 'name']);
    if (found === '') {
      await kubectl.ok(['create', '-f', '-'], {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name: STORAGE_CLASS, labels: { [OURS_KEY]: 'yes' } },
        provisioner: 'rancher.io/local-path',
        volumeBindingMode: 'WaitForFirstConsumer',
      });
    }
    await kubectl.ok(['label', 'node', node, 'virtualization=virtualnode2', OURS]);
    return new AksStandIn(kubectl);
  }

  /** Removes what a run that was broken off has left. */
  static async clear(kubectl: Kubectl): Promise<void> {
    await kubectl.ok(['label', 'nodes', '-l', OURS, 'virtualization-', `${OURS_KEY}-`]);
    await kubectl.ok(['delete', 'storageclass', '-l', OURS]);
  }

  async remove(): Promise<void> {
    await AksStandIn.clear(this.#kubectl);
  }
}
