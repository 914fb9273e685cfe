/** How full a file system is for its users: whether another byte, and another file, can be written. */
import type { StatsFs } from 'node:fs';
import type { MeasuredVolume } from '../resources/cleanup-result.ts';

type Counts = Pick<StatsFs, 'bsize' | 'blocks' | 'bfree' | 'bavail' | 'files' | 'ffree'>;

/** Space reserved for root counts as used, since servers are not root. File systems without a limit of inodes report 0 `files`. */
export function usageOf({ bsize, blocks, bfree, bavail, files, ffree }: Counts): Omit<MeasuredVolume, 'name'> {
  const used = blocks - bfree;
  const size = blocks * bsize;
  return { space: percent(used, used + bavail), size, ...(files > 0 && { files: percent(files - ffree, files) }) };
}

/** Rounded up. Some network file systems report more free than there is. */
function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, Math.ceil((part / whole) * 100))) : 0;
}
