/** Whether a volume is to be looked at, because its server can't tell how full it is. */
import { countedOf, ROOM, volumeOf } from '../sessions/storage-pressure.ts';
import type { VolumeFacts } from '../model.ts';

/** Inodes that a session takes: 8 and its lock. */
const INODES_PER_SESSION = 9;
/** What mke2fs sets aside an inode for, in bytes of the volume: an ext4 made the usual way holds no more files than that. */
const BYTES_PER_INODE = 16 * 1024;
/** Time between two looks at a volume, in ms. More than an hour: where sessions have a TTL, the next run of the cleanup looks first. */
export const LOOK_EVERY_MS = 65 * 60_000;

/** Why the volume of a server is to be looked at now, and undefined if it is not. `capacity`: what its claim's status says. */
export function lookReason(
  { sessions = 0, usage, askedAt = -Infinity }: VolumeFacts,
  capacity: string | undefined,
  now: number,
): string | undefined {
  const inodes = volumeOf('', sessions * INODES_PER_SESSION * BYTES_PER_INODE, capacity)?.percent ?? 0;
  const { space = 0, files = 0 } = usage === undefined ? {} : countedOf(usage);
  const seen = Math.max(space, files);
  if (inodes < ROOM && seen < ROOM) return undefined;
  // One that has grown since is another one.
  const seenAt = usage !== undefined && usage.capacity === capacity ? Date.parse(usage.time) : -Infinity;
  if (now - Math.max(seenAt, askedAt) < LOOK_EVERY_MS) return undefined;
  return seen >= ROOM ? `It was ${seen} % full.` : `Its ${sessions} sessions may be all the files that it can hold.`;
}
