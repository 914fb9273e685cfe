/** Two ends of an in-memory connection, each for a peer of the test's own. */
import type { Wire, WireEvents } from '../../src/copilot/index.ts';

/** One end: `attach` is what a Peer is constructed with. */
export class PairedWire implements Wire {
  paused = false;
  /** What was written on this end, each frame whole. */
  readonly written: string[] = [];
  #events: WireEvents | undefined;
  #other: PairedWire | undefined;
  #closed = false;
  /** What the other end has written while this one did not read. */
  readonly #unread: string[] = [];

  static pair(): [PairedWire, PairedWire] {
    const [a, b] = [new PairedWire(), new PairedWire()];
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  readonly attach = (events: WireEvents): Wire => {
    this.#events = events;
    return this;
  };

  write(frame: string): boolean {
    if (this.#closed) throw new Error('written after the close');
    this.written.push(frame);
    const other = this.#other;
    if (other === undefined) return true;
    other.#unread.push(frame);
    queueMicrotask(() => other.#read());
    return !other.paused;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#read();
    const other = this.#other;
    queueMicrotask(() => other?.emitDrained());
  }

  destroy(): void {
    this.#close();
    const other = this.#other;
    if (other !== undefined) other.#close();
  }

  /** The other end has read everything. */
  emitDrained(): void {
    const events = this.#events;
    events?.drained();
  }

  #read(): void {
    while (!this.paused && !this.#closed) {
      const frame = this.#unread.shift();
      if (frame === undefined) return;
      const events = this.#events;
      events?.data(Buffer.from(frame));
    }
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const events = this.#events;
    queueMicrotask(() => events?.closed(undefined));
  }
}
