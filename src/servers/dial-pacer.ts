/** The pace of dials, for all servers together. */
/** 200 dials a second: a thousand servers are dialled within half of the default interval, without a burst. */
const GAP_MS = 5;
/** Dials that may be made at once, so that a new tenant does not wait. */
const BURST = 20;

/** Spreads dials over time. It has no queue: each dial reserves its moment. */
export class DialPacer {
  #next = Number.NEGATIVE_INFINITY;

  /** Reserves the next free moment; returns how many ms from `monotonic` it is, 0 for at once. */
  reserve(monotonic: number): number {
    const at = Math.max(this.#next, monotonic - BURST * GAP_MS);
    this.#next = at + GAP_MS;
    return Math.max(0, at - monotonic);
  }
}
