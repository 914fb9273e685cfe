/** Decides whether a volume should be measured by a sweep, because its server cannot report how full it is. */
import type { VolumeFacts } from '../model.ts';
import { CLEAR_PERCENT, countedUsage, estimatedLevel } from '../sessions/storage-pressure.ts';

/** Inodes of one session: 8, and its lock. */
const INODES_PER_SESSION = 9;
/** Bytes of the volume for each inode, by the default of mke2fs: it limits the number of files of an ext4. */
const BYTES_PER_INODE = 16 * 1024;
/** Interval between two checks of a volume, in ms. More than an hour, so that an hourly cleanup measures it first. */
export const VOLUME_CHECK_INTERVAL_MS = 65 * 60_000;

/** Why the volume should be measured now; undefined if it should not. `capacity`: from the status of the claim. */
export function volumeCheckReason(
  { sessions = 0, usage, requestedAt = -Infinity }: VolumeFacts,
  capacity: string | undefined,
  now: number,
): string | undefined {
  const inodes = estimatedLevel('', sessions * INODES_PER_SESSION * BYTES_PER_INODE, capacity)?.percent ?? 0;
  const { space = 0, files = 0 } = usage === undefined ? {} : countedUsage(usage);
  const fullest = Math.max(space, files);
  if (inodes < CLEAR_PERCENT && fullest < CLEAR_PERCENT) return undefined;
  // A measurement from before the volume was expanded no longer counts.
  const measuredAt = usage !== undefined && usage.capacity === capacity ? Date.parse(usage.time) : -Infinity;
  if (now - Math.max(measuredAt, requestedAt) < VOLUME_CHECK_INTERVAL_MS) return undefined;
  return fullest >= CLEAR_PERCENT
    ? `It was ${fullest} % full when last measured.`
    : `Its ${sessions} sessions may use up its inodes.`;
}
