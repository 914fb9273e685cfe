/** Processes of containers, as the node sees them. Only where the tests run on the node: the local cluster. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Pod } from '../../src/kube/types/builtins.ts';

/** Process id of the program that a pod's first container runs. */
export function containerPid({ metadata, status }: Pod): number {
  const id = status?.containerStatuses?.[0]?.containerID?.split('//')[1];
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const found = id === undefined ? undefined : pids.find((pid) => cgroupOf(pid).includes(id));
  if (found === undefined)
    throw new Error(`no process of pod ${metadata.name} on this machine: do the tests run on the node?`);
  return Number(found);
}

function cgroupOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    // It has ended since the directory was read.
    return '';
  }
}
