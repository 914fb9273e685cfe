/** What is written to a client: whole frames, of which those of one turn of the event loop are written at once. */
import type { Duplex } from 'node:stream';
import { encodeFrame, encodeFrameBytes } from '../../copilot/index.ts';
import type { CloseReason } from '../model.ts';
import { CloseCause } from './model.ts';
import type { Unread, UnreadMemory } from './unread-memory.ts';

/** The writing side of a client's connection. */
export class Outgoing {
  readonly #stream: Duplex;
  #isCorked = false;
  #sentBytes = 0;
  #unread: { readonly client: Unread; readonly memory: UnreadMemory } | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** From now on what the client has yet to read counts among that of all clients, as one of this tenant (`namespace/name`). */
  admit(tenant: string, memory: UnreadMemory, close: (reason: CloseReason) => void): void {
    const stream = this.#stream;
    const client = {
      tenant,
      get queuedBytes() {
        return stream.writableLength;
      },
      cut: () => {
        const message = `the client has ${stream.writableLength} bytes to read, and all clients together more than --max-unread-bytes allows`;
        close({ reason: CloseCause.UnreadLimit, message });
      },
    };
    this.#unread = { client, memory };
    stream.on('drain', () => this.#count());
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
    this.#count();
    return frame.length;
  }

  /** Nothing more is sent. */
  end(): void {
    if (this.#unread !== undefined) this.#unread.memory.forget(this.#unread.client);
    this.#unread = undefined;
  }

  #count(): void {
    if (this.#unread !== undefined) this.#unread.memory.note(this.#unread.client);
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
