/** What is written to a client: whole frames, of which those of one turn of the event loop are written at once. */
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeFrameBytes } from '../../copilot/index.ts';

/** The writing side of a client's connection. */
export class Outgoing {
  readonly #stream: Duplex;
  #isCorked = false;
  #sentBytes = 0;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** Bytes that the client has yet to read, as far as they are kept in this process. */
  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  /** Bytes of all frames so far, including those that are queued. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Queues one frame, and returns its length in bytes. */
  send(body: Buffer | string): number {
    this.#cork();
    // Bytes are copied: the caller reads the next ones into the same memory.
    const frame = typeof body === 'string' ? Buffer.from(encodeFrame(body)) : encodeFrameBytes(body);
    this.#stream.write(frame);
    this.#sentBytes += frame.length;
    return frame.length;
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      this.#stream.uncork();
    });
  }
}
