// Servers without a node, an image or a volume.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { expectRecovered, expectStalled, messageColumn } from '../../support/stalled.ts';

jest.setTimeout(4 * READY_MS);

// StorageClasses and volumes are cluster-scoped.
const suffix = randomBytes(4).toString('hex');
const light = { binary: 'runtime' as const };

describe('servers without a node, an image or a volume', () => {
  let namespace: TestNamespace;
  let bystander: Bystander;
  const made: [kind: string, name: string][] = [];

  const makeInCluster = async (manifest: { kind: string; metadata: { name: string } }): Promise<void> => {
    made.push([manifest.kind, manifest.metadata.name]);
    await namespace.kubectl.ok(['create', '-f', '-'], manifest);
  };
  const storageClass = (name: string, provisioner: string, volumeBindingMode: string) => ({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name },
    provisioner,
    volumeBindingMode,
  });

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(async () => {
    await namespace.close();
    for (const [kind, name] of made) await namespace.kubectl.ok(['delete', kind, name, '--ignore-not-found']);
    // The node created it for the hostPath volume; with the local cluster the node is this machine.
    rmSync(`/tmp/by-hand-${suffix}`, { recursive: true, force: true });
  });

  it.concurrent('an image that does not exist is reported, and another one is used', async () => {
    const image = 'localhost/no-such-image:0.0.0';
    await namespace.createTenant('imageless', { server: { ...light, image } });
    await expectStalled(namespace, 'imageless', 'ImagePullFailed', [
      'Server imageless-0',
      `failed to pull image ${image}`,
      'Check spec.server.image',
    ]);
    await namespace.patchTenant('imageless', { spec: { server: { image: SERVER_IMAGE } } });
    await expectRecovered(namespace, 'imageless');
    await bystander.expectUntouched();
  });

  it.concurrent('a StorageClass that does not exist is reported, and used once it is created', async () => {
    const name = `later-${suffix}`;
    await namespace.createTenant('classless', { server: light, storage: { storageClassName: name } });
    await expectStalled(namespace, 'classless', 'StorageClassNotFound', [
      'Server classless-0',
      `StorageClass ${name} not found`,
      'Create it; spec.storage.storageClassName cannot be changed',
    ]);
    await makeInCluster(storageClass(name, 'rancher.io/local-path', 'WaitForFirstConsumer'));
    await expectRecovered(namespace, 'classless');
    await bystander.expectUntouched();
  });

  it.concurrent(
    'a claim that waits for a PersistentVolume is reported, and the volume is used once it is created',
    async () => {
      const name = `by-hand-${suffix}`;
      await makeInCluster(storageClass(name, 'kubernetes.io/no-provisioner', 'Immediate'));
      await namespace.createTenant('unbound', { server: light, storage: { storageClassName: name } });
      await expectStalled(namespace, 'unbound', 'VolumePending', [
        'no PersistentVolume matches claim unbound-0, and its StorageClass does not provision any',
        'Create a PersistentVolume with the class, size and access mode of the claim',
      ]);
      await makeInCluster({
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name },
        spec: {
          storageClassName: name,
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOnce'],
          hostPath: { path: `/tmp/${name}`, type: 'DirectoryOrCreate' },
        },
      } as never);
      // The server has it: a directory that the kubelet makes is root's.
      await namespace.waitForStalled('unbound', 'VolumeNotWritable');
      await bystander.expectUntouched();
    },
  );

  it.concurrent('a provisioner that does not work is reported, and one that works is used', async () => {
    const name = `dead-${suffix}`;
    await makeInCluster(storageClass(name, 'example.com/nobody', 'WaitForFirstConsumer'));
    await namespace.createTenant('unprovisioned', { server: light, storage: { storageClassName: name } });
    await expectStalled(namespace, 'unprovisioned', 'VolumePending', [
      'Server unprovisioned-0',
      'its volume is not available',
      'example.com/nobody',
    ]);
    await namespace.kubectl.ok(['delete', 'storageclass', name]);
    await makeInCluster(storageClass(name, 'rancher.io/local-path', 'WaitForFirstConsumer'));
    await expectRecovered(namespace, 'unprovisioned');
    await bystander.expectUntouched();
  });

  it.concurrent(
    'a volume whose deletion is stuck holds up the next tenant of the name, no longer than it must',
    async () => {
      await namespace.createTenant('stuck', { server: light, storage: { reclaimPolicy: 'Delete' } });
      await namespace.waitForReady('stuck');
      const setFinalizers = async (change: (names: string[]) => string[]): Promise<void> => {
        const claim = await namespace.client.get(PersistentVolumeClaim, namespace.ref('stuck-0'));
        const patch = { metadata: { finalizers: change(claim.metadata.finalizers ?? []) } };
        const contentType = 'application/merge-patch+json';
        await namespace.client.patch(PersistentVolumeClaim, namespace.ref('stuck-0'), patch, { contentType });
      };
      await setFinalizers((names) => [...names, 'example.com/backup']);
      await namespace.kubectl.ok(['delete', 'ct', 'stuck', '-n', namespace.name]);
      await namespace.createTenant('stuck', { server: light });
      const message =
        'Waiting for PersistentVolumeClaim stuck-0 of a previous tenant of the same name to be deleted. ' +
        'It is blocked by the finalizer example.com/backup, which the controller that set it has to remove.';
      const waiting = await namespace.waitForTenant(
        'stuck',
        'waits for the deletion',
        (tenant) => conditionOf(tenant, 'Reconciling').message === message,
      );
      expect(conditionOf(waiting, 'Reconciling')).toMatchObject({ status: 'True', reason: 'WaitingForDeletion' });
      expect(conditionOf(waiting, 'Ready')).toMatchObject({ status: 'False', message });
      expect(await messageColumn(namespace, 'stuck')).toBe(message);
      await setFinalizers((names) => names.filter((name) => name !== 'example.com/backup'));
      await expectRecovered(namespace, 'stuck');
      await bystander.expectUntouched();
    },
  );
});
