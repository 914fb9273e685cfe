/** Frames one behind the other in one piece of memory, so that they are sent by one write. */
import { BLOCK_BYTES, borrowBlock, type Block } from './blocks.ts';
import { headerOf } from './frame-header.ts';

const EMPTY = Buffer.alloc(0);
/** With fewer bytes a batch has memory of its own. */
const LEAST_IN_BLOCK = 16 * 1024;
/** With fewer bytes a batch does not keep its block when it is taken: what waits for a reader has at most twice the memory that it needs. */
const LEAST_TAKEN = 32 * 1024;

/** Frames that are to be written. */
export interface TakenFrames {
  readonly frames: Buffer;
  /** To be called when they were written, or never will be: others use their memory. Undefined: nobody else will have it. */
  readonly free: (() => void) | undefined;
}

/** Copies what it is given. It keeps no memory when it is empty. */
export class FrameBatch {
  #buffer: Buffer = EMPTY;
  #used = 0;
  #block: Block | undefined;

  /** Bytes of the frames in it. */
  get bytes(): number {
    return this.#used;
  }

  /** Adds a frame with this body, and returns its length in bytes. `prefix`: ASCII characters with which the body is to begin. */
  add(body: Buffer | string, prefix = ''): number {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const start = `${headerOf(prefix.length + length)}${prefix}`;
    const bytes = start.length + length;
    this.#reserve(bytes);
    const at = this.#used + this.#buffer.write(start, this.#used, 'latin1');
    if (typeof body === 'string') this.#buffer.write(body, at, 'utf8');
    else this.#buffer.set(body, at);
    this.#used += bytes;
    return bytes;
  }

  /** Adds frames with their headers. */
  addFrames(frames: Buffer): void {
    this.#reserve(frames.length);
    this.#buffer.set(frames, this.#used);
    this.#used += frames.length;
  }

  /** The frames so far; the next ones are added to an empty batch. */
  take(): TakenFrames {
    const used = this.#buffer.subarray(0, this.#used);
    const block = this.#block;
    const keepsBlock = block !== undefined && used.length >= LEAST_TAKEN;
    // They may be kept for long, and what was reserved for further ones would be with them.
    const frames = used.length < this.#buffer.length && !keepsBlock ? Buffer.from(used) : used;
    if (!keepsBlock) block?.free();
    this.#buffer = EMPTY;
    this.#block = undefined;
    this.#used = 0;
    return { frames, free: keepsBlock ? block.free : undefined };
  }

  /** A single frame gets what it needs; with more of them the memory grows by half, and then to a block. */
  #reserve(bytes: number): void {
    const needed = this.#used + bytes;
    if (needed <= this.#buffer.length) return;
    const before = this.#block;
    const block = needed >= LEAST_IN_BLOCK && needed <= BLOCK_BYTES ? borrowBlock() : undefined;
    const grown = block?.memory ?? Buffer.allocUnsafe(Math.max(needed, Math.ceil(this.#used * 1.5)));
    this.#buffer.copy(grown, 0, 0, this.#used);
    this.#buffer = grown;
    this.#block = block;
    before?.free();
  }
}
