/** Frames one behind the other in one piece of memory, so that they are sent by one write. */
import { headerOf } from './framing.ts';

const EMPTY = Buffer.alloc(0);

/** Copies what it is given. It keeps no memory when it is empty. */
export class FrameBatch {
  #buffer: Buffer = EMPTY;
  #used = 0;

  /** Bytes of the frames in it. */
  get bytes(): number {
    return this.#used;
  }

  /** Adds a frame with this body, and returns its length in bytes. */
  add(body: Buffer | string): number {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const header = headerOf(length);
    const bytes = header.length + length;
    this.#reserve(bytes);
    const at = this.#used + this.#buffer.write(header, this.#used, 'latin1');
    if (typeof body === 'string') this.#buffer.write(body, at, 'utf8');
    else this.#buffer.set(body, at);
    this.#used += bytes;
    return bytes;
  }

  /** The frames so far; the next ones are added to an empty batch. */
  take(): Buffer {
    const used = this.#buffer.subarray(0, this.#used);
    // They may be kept for long, and what was reserved for further ones would be with them.
    const taken = used.length < this.#buffer.length ? Buffer.from(used) : used;
    this.#buffer = EMPTY;
    this.#used = 0;
    return taken;
  }

  /** A single frame gets what it needs; with more of them the memory grows by half. */
  #reserve(bytes: number): void {
    const needed = this.#used + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, Math.ceil(this.#used * 1.5)));
    this.#buffer.copy(grown, 0, 0, this.#used);
    this.#buffer = grown;
  }
}
