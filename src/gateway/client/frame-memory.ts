/** The memory for frames of admitted clients that have not arrived in full: bounded for each tenant, and for the process. */

/** Whose frame it is. */
export interface FrameHolder {
  /** `namespace/name` of its tenant. */
  readonly tenant: string;
  /** Frees what it holds; its frame is answered with an error when the rest of it has passed. */
  readonly abandon: () => void;
}

/** The bounds, in bytes. */
export interface FrameMemoryLimits {
  readonly total: number;
  readonly perTenant: number;
  /** What each client may hold, and does not count: most frames are smaller. */
  readonly free: number;
}

/** Four of the largest frames, and two of one tenant: a quarter of the memory that the chart gives the process. */
const TOTAL = 128 * 1024 * 1024;
const PER_TENANT = 64 * 1024 * 1024;
/** More is always counted. */
const MAX_FREE = 16 * 1024;

/** The bounds for so many clients. All that is not counted is at most half as much as the bound: many clients with a little each would pass it unseen. */
export function frameLimits(maxClients: number): FrameMemoryLimits {
  return { total: TOTAL, perTenant: PER_TENANT, free: Math.min(MAX_FREE, Math.floor(TOTAL / 2 / maxClients)) };
}

/** Holders with their bytes, the one first that has sent nothing for the longest time. */
interface Share {
  bytes: number;
  readonly holders: Map<FrameHolder, number>;
}

/** A frame that arrives always gets room. Where there is too little, that one goes which has made no progress for the longest time. */
export class FrameMemory {
  readonly #limits: FrameMemoryLimits;
  readonly #byTenant = new Map<string, Share>();
  #total = 0;

  constructor(limits: FrameMemoryLimits) {
    this.#limits = limits;
  }

  /** Bytes that are held. */
  get total(): number {
    return this.#total;
  }

  /** The holder has sent something, and holds this many bytes now; 0: none. */
  hold(holder: FrameHolder, bytes: number): void {
    const { total, perTenant, free } = this.#limits;
    // Mostly nobody holds anything.
    if (this.#total > 0) this.#remove(holder);
    if (bytes <= free) return;
    const share = this.#byTenant.get(holder.tenant) ?? { bytes: 0, holders: new Map<FrameHolder, number>() };
    this.#byTenant.set(holder.tenant, share);
    share.holders.set(holder, bytes);
    share.bytes += bytes;
    this.#total += bytes;
    while (share.bytes > perTenant) this.#abandonFirst(share);
    while (this.#total > total) this.#abandonFirst(this.#largest(share));
  }

  #largest(first: Share): Share {
    let found = first;
    for (const share of this.#byTenant.values()) if (share.bytes > found.bytes) found = share;
    return found;
  }

  #abandonFirst({ holders }: Share): void {
    for (const holder of holders.keys()) {
      this.#remove(holder);
      holder.abandon();
      return;
    }
  }

  #remove(holder: FrameHolder): void {
    const share = this.#byTenant.get(holder.tenant);
    const bytes = share?.holders.get(holder);
    if (share === undefined || bytes === undefined) return;
    share.holders.delete(holder);
    share.bytes -= bytes;
    this.#total -= bytes;
    if (share.holders.size === 0) this.#byTenant.delete(holder.tenant);
  }
}
