/** Decides the condition StoragePressure from how full the volumes are. */
import { StoragePressureReason } from '../../api/conditions.ts';
import type { VolumeUsage } from '../../api/tenant-status.ts';
import { parseQuantity } from '../../kube/types/quantity.ts';
import type { Condition } from '../../kube/types/types.ts';
import type { Verdict } from '../../kube/write/conditions.ts';

/**
 * Bytes that a session uses besides the contents of its files. A session of one turn has 27,010 bytes in 8 files and directories,
 * and uses 53,248 bytes of an ext4 with blocks of 4 KiB. Its lock uses a ninth inode and no block.
 */
const SESSION_OVERHEAD_BYTES = 26 * 1024;

/** Percentage from which a volume counts as nearly full. */
const NEARLY_FULL_PERCENT = 85;
/** Percentage from which turns fail or will fail soon: the file system itself needs a few percent. */
const FULL_PERCENT = 95;
/** Percentage below which the condition clears. Lower than nearly full, so that it does not change back and forth with each turn. */
export const CLEAR_PERCENT = 80;

/** How full the volume of a server is, by one measure. */
export interface FillLevel {
  /** Name of the server, or of the claim that all servers share. */
  readonly server: string;
  /** Capacity, from the status of the claim. */
  readonly capacity: string;
  /** Percentage in use, rounded up. */
  readonly percent: number;
  /** The measure. Sessions: estimated space of the sessions. Space: measured space in use. Files: measured inodes in use. */
  readonly of: 'Sessions' | 'Space' | 'Files';
}

/** Estimated bytes that sessions use on a volume, from the total size of their files. */
export function estimatedBytes(sessions: number, contentBytes: number): number {
  return contentBytes + sessions * SESSION_OVERHEAD_BYTES;
}

/** The level by the estimate; undefined if the capacity is not known. */
export function estimatedLevel(server: string, usedBytes: number, capacity: string | undefined): FillLevel | undefined {
  const bytes = capacity === undefined ? undefined : bytesOf(capacity);
  if (capacity === undefined || bytes === undefined || bytes <= 0) return undefined;
  return { server, capacity, percent: Math.ceil((usedBytes / bytes) * 100), of: 'Sessions' };
}

/** The levels by the last measurement; none if the volume was expanded since then. */
export function measuredLevels(
  server: string,
  usage: VolumeUsage | undefined,
  capacity: string | undefined,
): FillLevel[] {
  if (usage === undefined || usage.capacity !== capacity) return [];
  const base = { server, capacity };
  const { space, files } = countedUsage(usage);
  return [
    ...(space === undefined ? [] : [{ ...base, percent: space, of: 'Space' } as const]),
    ...(files === undefined ? [] : [{ ...base, percent: files, of: 'Files' } as const]),
  ];
}

/** The part of a measurement that counts. A file system that is shared with others only counts once it is full. */
export function countedUsage({ space, files, shared }: VolumeUsage): { space?: number; files?: number } {
  const counts = (percent: number): boolean => shared !== true || percent >= FULL_PERCENT;
  return { ...(counts(space) && { space }), ...(files !== undefined && counts(files) && { files }) };
}

/** Whether a file system of this size is shared with others: the volume's own has about the capacity of the claim. */
export function isSharedFileSystem(size: number, capacity: string): boolean {
  return size > 2 * (bytesOf(capacity) ?? Infinity);
}

/** The one to act on first. */
export function fullest(volumes: readonly FillLevel[]): FillLevel | undefined {
  return volumes.toSorted((a, b) => b.percent - a.percent)[0];
}

/** The space in use as a quantity, in steps of one percent, so that it rarely changes. */
export function usedQuantity({ capacity, percent }: FillLevel): string {
  const bytes = ((bytesOf(capacity) ?? 0) * percent) / 100;
  return `${Math.ceil(bytes / 2 ** 20)}Mi`;
}

/** The percentage of a quantity that {@link usedQuantity} wrote. */
export function usedPercent(storage: { readonly used: string; readonly capacity: string } | undefined): number {
  const [used = 0, capacity = 0] = [storage?.used ?? '0', storage?.capacity ?? '0'].map(bytesOf);
  return capacity > 0 ? Math.floor((used / capacity) * 100) : 0;
}

/** The condition for the fullest volume. `last`: the condition so far, which does not change between 80 and 85 %. */
export function storagePressureVerdict(volume: FillLevel | undefined, last: Condition | undefined): Verdict {
  if (volume === undefined) return notMeasured('No server has reported the size of its sessions yet.');
  const { percent } = volume;
  const what = describeLevel(volume);
  if (percent >= FULL_PERCENT) {
    return {
      status: 'True',
      reason: StoragePressureReason.VolumeFull,
      message: `${what}. Turns fail or will fail soon; stored sessions stay readable. ${REMEDIES[volume.of]}`,
    };
  }
  if (percent >= NEARLY_FULL_PERCENT || (percent >= CLEAR_PERCENT && last?.status === 'True')) {
    return {
      status: 'True',
      reason: StoragePressureReason.VolumeNearlyFull,
      message: `${what}. ${REMEDIES[volume.of]}`,
    };
  }
  const message = `All volumes are less than ${NEARLY_FULL_PERCENT} % full.`;
  return { status: 'False', reason: StoragePressureReason.EnoughSpace, message };
}

const REMEDIES: Readonly<Record<FillLevel['of'], string>> = {
  Sessions: 'Raise spec.storage.size, shorten spec.sessions.ttl, or delete sessions.',
  Space: 'Raise spec.storage.size, shorten spec.sessions.ttl, or delete sessions or other files.',
  Files: 'Delete sessions, shorten spec.sessions.ttl, raise spec.storage.size, or use a file system with more inodes.',
};

function describeLevel({ server, capacity, percent, of }: FillLevel): string {
  // That of all servers has no index.
  const volume = `the volume ${/-\d+$/.test(server) ? `of server ${server}` : server} (${capacity})`;
  if (of === 'Sessions') return `Sessions use ${percent} % of ${volume}`;
  if (of === 'Space') return `The file system of ${volume} was ${percent} % full when last measured`;
  const soon = percent >= FULL_PERCENT ? 'is out of inodes or nearly so' : 'is running out of inodes';
  return `The file system of ${volume} ${soon}: ${percent} % were in use when last measured`;
}

/** The condition after a cleanup on volumes, until a server runs again. */
export function storagePressureAfterCleanup(): Verdict {
  return notMeasured('Sessions were deleted while no server was running; sizes are reported when one runs again.');
}

function notMeasured(message: string): Verdict {
  return { status: 'Unknown', reason: StoragePressureReason.NotMeasured, message };
}

function bytesOf(quantity: string): number | undefined {
  const billionths = parseQuantity(quantity);
  return billionths === undefined ? undefined : Number(billionths / 1_000_000_000n);
}
