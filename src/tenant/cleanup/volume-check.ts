/** Whether a volume is to be looked at, because its server can't tell how full it is. */
import { countedUsage, CLEAR_PERCENT, estimatedLevel } from '../sessions/storage-pressure.ts';
import type { VolumeFacts } from '../model.ts';

/** Inodes that a session takes: 8 and its lock. */
const INODES_PER_SESSION = 9;
/** What mke2fs sets aside an inode for, in bytes of the volume: an ext4 made the usual way holds no more files than that. */
const BYTES_PER_INODE = 16 * 1024;
/** Time between two looks at a volume, in ms. More than an hour: where sessions have a TTL, the next run of the cleanup looks first. */
export const VOLUME_CHECK_INTERVAL_MS = 65 * 60_000;

/** Why the volume of a server is to be looked at now, and undefined if it is not. `capacity`: what its claim's status says. */
export function volumeCheckReason(
  { sessions = 0, usage, requestedAt = -Infinity }: VolumeFacts,
  capacity: string | undefined,
  now: number,
): string | undefined {
  const inodes = estimatedLevel('', sessions * INODES_PER_SESSION * BYTES_PER_INODE, capacity)?.percent ?? 0;
  const { space = 0, files = 0 } = usage === undefined ? {} : countedUsage(usage);
  const fullest = Math.max(space, files);
  if (inodes < CLEAR_PERCENT && fullest < CLEAR_PERCENT) return undefined;
  // One that has grown since is another one.
  const measuredAt = usage !== undefined && usage.capacity === capacity ? Date.parse(usage.time) : -Infinity;
  if (now - Math.max(measuredAt, requestedAt) < VOLUME_CHECK_INTERVAL_MS) return undefined;
  return fullest >= CLEAR_PERCENT
    ? `It was ${fullest} % full when last measured.`
    : `Its ${sessions} sessions may use up its inodes.`;
}
