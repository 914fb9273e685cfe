import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './tenant-api.ts';

/**
 * A file system of its own for a volume, so that the volume can be really full. It is mounted where the node's pods see
 * it, which only the local cluster's node lets us do: it is this machine. It has 24 MiB, to begin with.
 */
export class SmallDisk implements Disposable {
  /** On the node. */
  readonly path: string;
  /** The PersistentVolume that it is, and the storage class of the claims that it is for, are called `name`. */
  readonly manifest: object;

  constructor(name: string) {
    const [path, mebibytes] = [`/tmp/${name}`, 24];
    this.path = path;
    this.manifest = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        storageClassName: name,
        capacity: { storage: `${mebibytes}Mi` },
        accessModes: ['ReadWriteOnce'],
        hostPath: { path, type: 'Directory' },
      },
    };
    onNode('mkdir', '-p', path);
    onNode('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0777`, 'tmpfs', path);
  }

  /** As the driver of a volume grows it, file system and all. What Kubernetes knows of it stays as it is. */
  grow(mebibytes: number): void {
    onNode('mount', '-o', `remount,size=${mebibytes}m`, this.path);
  }

  /** As a file system turns read-only after an error of its disk: for everybody who has it mounted. */
  makeReadOnly(readOnly: boolean): void {
    onNode('mount', '-o', `remount,${readOnly ? 'ro' : 'rw'}`, this.path);
  }

  [Symbol.dispose](): void {
    onNode('umount', '-l', this.path);
    onNode('rmdir', this.path);
  }
}

function onNode(...command: string[]): void {
  // The node's containerd holds the mount namespace that the kubelet and the pods' volumes live in.
  const pid = readFileSync(join(PROJECT, '.cluster/pids/containerd.pid'), 'utf8').trim();
  execFileSync('nsenter', [`--mount=/proc/${pid}/ns/mnt`, '--', ...command], { stdio: 'inherit' });
}
