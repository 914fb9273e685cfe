import { readdirSync, readFileSync } from 'node:fs';
import type { Pod } from '../../src/kube/types/builtins.ts';

/** The process id of a pod's server. The node must be this machine, as it is with the local cluster. */
export function serverPid(pod: Pod): number {
  const { name, uid = '' } = pod.metadata;
  // cgroupfs writes the UID as it is, systemd with underscores.
  const marks = [`pod${uid}`, `pod${uid.replaceAll('-', '_')}`];
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const found = pids.find((pid) => {
    const cgroup = read(pid, 'cgroup');
    return marks.some((mark) => cgroup.includes(mark)) && read(pid, 'cmdline').includes('--headless');
  });
  if (found === undefined)
    throw new Error(`pod ${name} has no server process on this machine: is its node another one?`);
  return Number(found);
}

function read(pid: string, file: 'cgroup' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    // Processes come and go while we look.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
