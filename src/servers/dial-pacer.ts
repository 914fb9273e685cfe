/** 200 dials a second: a thousand servers are reached within half of the default interval, without a burst. */
const GAP_MS = 5;
/** So many may go at once: the tenant that somebody has just made does not wait. */
const BURST = 20;

/** Spreads dials over time. It holds no queue: a dial is given its moment when it asks. */
export class DialPacer {
  #next = Number.NEGATIVE_INFINITY;

  /** Reserves the next free moment; returns how many ms from `monotonic` it is, 0 for at once. */
  reserve(monotonic: number): number {
    const at = Math.max(this.#next, monotonic - BURST * GAP_MS);
    this.#next = at + GAP_MS;
    return Math.max(0, at - monotonic);
  }
}
