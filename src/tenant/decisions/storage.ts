import { StoragePressureReason } from '../../api/conditions.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import type { Condition } from '../../kube/types.ts';
import type { Verdict } from './conditions.ts';

/** Percent of a volume from which on it counts as nearly full. */
const NEARLY_FULL = 85;
/** From which on turns fail, or will soon: the file system itself takes a few percent. */
const FULL = 95;
/** Below which it has room again. Lower than where the trouble begins, or a volume on the edge would tell at each turn. */
const ROOM = 80;

/** How full the volume of a server is. */
export interface Volume {
  /** Name of the server. */
  readonly server: string;
  /** Capacity, as the claim's status says. */
  readonly capacity: string;
  /** What sessions take of it, in whole percents, rounded up. */
  readonly percent: number;
}

/** Undefined when the capacity is not known. */
export function volumeOf(server: string, usedBytes: number, capacity: string | undefined): Volume | undefined {
  const bytes = capacity === undefined ? undefined : bytesOf(capacity);
  if (capacity === undefined || bytes === undefined || bytes <= 0) return undefined;
  return { server, capacity, percent: Math.ceil((usedBytes / bytes) * 100) };
}

/** The one to act on first. */
export function fullest(volumes: readonly Volume[]): Volume | undefined {
  return volumes.toSorted((a, b) => b.percent - a.percent)[0];
}

/** What is taken of a volume, as a quantity; in steps of whole percents, so that it changes seldom. */
export function usedOf({ capacity, percent }: Volume): string {
  const bytes = ((bytesOf(capacity) ?? 0) * percent) / 100;
  return `${Math.ceil(bytes / 2 ** 20)}Mi`;
}

/** The percents that `used` of `capacity` are, as {@link usedOf} wrote it. */
export function percentOf(storage: { readonly used: string; readonly capacity: string } | undefined): number {
  const [used = 0, capacity = 0] = [storage?.used ?? '0', storage?.capacity ?? '0'].map(bytesOf);
  return capacity > 0 ? Math.floor((used / capacity) * 100) : 0;
}

/** The condition StoragePressure. `last` is what it was: between 80 and 85 % it stays so. */
export function pressureVerdict(volume: Volume | undefined, last: Condition | undefined): Verdict {
  if (volume === undefined) return notMeasured('No server has told the sizes of its sessions yet.');
  const { server, capacity, percent } = volume;
  const what = `Sessions take ${percent} % of the volume of server ${server} (${capacity})`;
  if (percent >= FULL) {
    return {
      status: 'True',
      reason: StoragePressureReason.VolumeFull,
      message: `${what}: turns fail or will soon, and what is stored stays readable. Raise spec.storage.size, or delete sessions.`,
    };
  }
  if (percent >= NEARLY_FULL || (percent >= ROOM && last?.status === 'True')) {
    return {
      status: 'True',
      reason: StoragePressureReason.VolumeNearlyFull,
      message: `${what}. Raise spec.storage.size, shorten spec.sessions.ttl, or delete sessions.`,
    };
  }
  const message = `Every volume has room: sessions take less than ${NEARLY_FULL} % of each.`;
  return { status: 'False', reason: StoragePressureReason.EnoughSpace, message };
}

/** The condition StoragePressure after a cleanup on volumes, until a server runs again. */
export function pressureAfterCleanup(): Verdict {
  return notMeasured('Sessions were deleted while no server ran: sizes are told when one runs again.');
}

function notMeasured(message: string): Verdict {
  return { status: 'Unknown', reason: StoragePressureReason.NotMeasured, message };
}

function bytesOf(quantity: string): number | undefined {
  const billionths = parseQuantity(quantity);
  return billionths === undefined ? undefined : Number(billionths / 1_000_000_000n);
}
