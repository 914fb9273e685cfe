/** A ReadWriteMany volume for the servers of one tenant: a directory of the one node, which is this machine. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestNamespace } from './cluster.ts';

export class SharedVolume {
  /** Of its StorageClass and its PersistentVolume. */
  readonly name = `shared-${randomBytes(4).toString('hex')}`;
  readonly directory = join('/tmp', this.name);
  readonly #namespace: TestNamespace;

  private constructor(namespace: TestNamespace) {
    this.#namespace = namespace;
  }

  static async create(namespace: TestNamespace): Promise<SharedVolume> {
    const volume = new SharedVolume(namespace);
    const { name, directory } = volume;
    mkdirSync(directory);
    // fsGroup is not applied to a hostPath.
    chmodSync(directory, 0o777);
    await namespace.kubectl.ok(['create', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        {
          apiVersion: 'storage.k8s.io/v1',
          kind: 'StorageClass',
          metadata: { name },
          provisioner: 'kubernetes.io/no-provisioner',
          volumeBindingMode: 'Immediate',
        },
        {
          apiVersion: 'v1',
          kind: 'PersistentVolume',
          metadata: { name },
          spec: {
            storageClassName: name,
            capacity: { storage: '1Gi' },
            accessModes: ['ReadWriteMany'],
            persistentVolumeReclaimPolicy: 'Retain',
            hostPath: { path: directory, type: 'Directory' },
          },
        },
      ],
    });
    return volume;
  }

  /** What a tenant states to have its servers share it. */
  get spec() {
    return {
      topology: 'SharedStorage',
      storage: { accessMode: 'ReadWriteMany', storageClassName: this.name },
    } as const;
  }

  /** Once nobody uses it any more. */
  async delete(): Promise<void> {
    await this.#namespace.kubectl.ok(['delete', `pv/${this.name}`, `storageclass/${this.name}`, '--ignore-not-found']);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
