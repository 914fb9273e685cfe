/** The memory for frames of clients that have not arrived in full: bounded for all connections together. */

/** A connection. */
export interface FrameHolder {
  /** Whether somebody with a key of grants has used it: others make room first. */
  readonly isGranted: boolean;
  /** Ends it, because what it has sent has no room. */
  readonly drop: (why: string) => void;
}

export class PartialFrames {
  readonly #most: number;
  /** The one first that has sent nothing for the longest time. */
  readonly #holders = new Map<FrameHolder, number>();
  #total = 0;

  /** `most`: bytes. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The connection has sent something, and holds so many bytes now; 0: none. */
  hold(holder: FrameHolder, bytes: number): void {
    // Mostly nobody holds anything.
    if (bytes === 0 && this.#total === 0) return;
    this.#free(holder);
    if (bytes === 0) return;
    this.#holders.set(holder, bytes);
    this.#total += bytes;
    while (this.#total > this.#most) {
      const first = this.#first(holder);
      this.#free(first);
      first.drop(`frames that have not arrived in full have more than ${this.#most} bytes`);
    }
  }

  #first(otherwise: FrameHolder): FrameHolder {
    const holders = [...this.#holders.keys()];
    return holders.find(({ isGranted }) => !isGranted) ?? holders[0] ?? otherwise;
  }

  #free(holder: FrameHolder): void {
    this.#total -= this.#holders.get(holder) ?? 0;
    this.#holders.delete(holder);
  }
}
