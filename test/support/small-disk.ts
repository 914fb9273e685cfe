import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/**
 * A file system of its own for a volume, so that the volume can be really full. It is mounted where the node's pods see
 * it, which only the local cluster's node lets us do: it is this machine.
 */
export class SmallDisk implements Disposable {
  /** On the node. */
  readonly path: string;

  constructor(path: string, size: string) {
    this.path = path;
    onNode('mkdir', '-p', path);
    onNode('mount', '-t', 'tmpfs', '-o', `size=${size},mode=0777`, 'tmpfs', path);
  }

  [Symbol.dispose](): void {
    onNode('umount', '-l', this.path);
    onNode('rmdir', this.path);
  }
}

function onNode(...command: string[]): void {
  execFileSync('nsenter', [`--mount=/proc/${containerdPid()}/ns/mnt`, '--', ...command], { stdio: 'inherit' });
}

/** The node's containerd holds the mount namespace that the kubelet and the pods' volumes live in. */
function containerdPid(): string {
  const found = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isClusterContainerd(pid));
  if (found === undefined) throw new Error('no containerd of the local cluster runs on this machine');
  return found;
}

function isClusterContainerd(pid: string): boolean {
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return program.endsWith('/containerd') && args.some((arg) => arg.includes('copilot-operator-cluster'));
  } catch (error) {
    // Processes come and go while we look.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
