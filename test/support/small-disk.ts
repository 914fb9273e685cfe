import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT } from './tenant-api.ts';

export interface DiskOptions {
  /** ext4: with blocks of 4 KiB and one inode for 16 KiB, as mke2fs makes it by itself on a larger disk. Default: tmpfs. */
  readonly fileSystem?: 'tmpfs' | 'ext4';
  /** Default: 24. */
  readonly mebibytes?: number;
  /** Of its directory, which belongs to root. Default: 0777. */
  readonly mode?: string;
}

/**
 * A file system of its own for a volume, so that the volume can be really full. It is mounted where the node's pods see
 * it, which only the local cluster's node lets us do: it is this machine.
 */
export class SmallDisk implements Disposable {
  /** On the node. */
  readonly path: string;
  /** The PersistentVolume that it is, and the storage class of the claims that it is for, are called `name`. */
  readonly manifest: object;

  constructor(name: string, { fileSystem = 'tmpfs', mebibytes = 24, mode = '0777' }: DiskOptions = {}) {
    const path = `/tmp/${name}`;
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
    if (fileSystem === 'ext4') mountExt4(onNode, path, mebibytes);
    else onNode('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=${mode}`, 'tmpfs', path);
  }

  /** As the driver of a volume grows it, file system and all; tmpfs only. What Kubernetes knows of it stays as it is. */
  grow(mebibytes: number): void {
    onNode('mount', '-o', `remount,size=${mebibytes}m`, this.path);
  }

  /** As a file system turns read-only after an error of its disk: for everybody who has it mounted. */
  makeReadOnly(readOnly: boolean): void {
    onNode('mount', '-o', `remount,${readOnly ? 'ro' : 'rw'}`, this.path);
  }

  /** Changes the permissions of its directory. */
  chmod(mode: string): void {
    onNode('chmod', mode, this.path);
  }

  [Symbol.dispose](): void {
    onNode('umount', '-l', this.path);
    onNode('rmdir', this.path);
  }
}

/** An ext4 of this size as {@link DiskOptions} says, mounted for this process at a new directory. */
export function ext4Volume(mebibytes: number): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'cleanup-ext4-'));
  mountExt4(run, path, mebibytes);
  return {
    path,
    [Symbol.dispose]: () => {
      run('umount', path);
      rmdirSync(path);
    },
  };
}

/** A tmpfs of this size over a directory of this process's mount namespace, which is made if need be. */
export class SmallMount implements Disposable {
  readonly #path: string;
  readonly #filler: string;

  constructor(path: string, mebibytes: number) {
    this.#path = path;
    this.#filler = join(path, 'filler');
    run('mkdir', '-p', path);
    run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0777`, 'tmpfs', path);
  }

  /** Leaves no byte of it free. */
  fill(): void {
    const chunk = Buffer.alloc(4096);
    for (;;) {
      try {
        appendFileSync(this.#filler, chunk);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        return;
      }
    }
  }

  makeRoom(): void {
    rmSync(this.#filler);
  }

  [Symbol.dispose](): void {
    run('umount', '-l', this.#path);
  }
}

/** Makes a directory of this process's mount namespace read-only until it is disposed of. */
export function readOnlyMount(path: string): Disposable {
  run('mount', '--bind', path, path);
  run('mount', '-o', 'remount,bind,ro', path);
  return { [Symbol.dispose]: () => run('umount', path) };
}

type Run = (...command: string[]) => void;

function mountExt4(execute: Run, path: string, mebibytes: number): void {
  const image = `${path}.img`;
  execute('truncate', '-s', `${mebibytes}M`, image);
  execute('mke2fs', '-q', '-t', 'ext4', '-b', '4096', '-i', '16384', image);
  execute('mount', '-o', 'loop', image, path);
  // The loop device keeps it for as long as it is mounted.
  execute('rm', image);
  execute('chmod', '0777', path);
}

function run(...command: string[]): void {
  const [program = '', ...args] = command;
  execFileSync(program, args, { stdio: 'inherit' });
}

function onNode(...command: string[]): void {
  // The node's containerd holds the mount namespace that the kubelet and the pods' volumes live in.
  const pid = readFileSync(join(PROJECT, '.cluster/pids/containerd.pid'), 'utf8').trim();
  run('nsenter', `--mount=/proc/${pid}/ns/mnt`, '--', ...command);
}
