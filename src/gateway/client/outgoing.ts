/** What is written to a client: whole frames, of which those of one turn of the event loop are one write. */
import type { Duplex } from 'node:stream';
import { FrameBatch } from '../../copilot/index.ts';
import type { CloseReason } from '../model.ts';
import { CloseCause } from './model.ts';
import type { Unread, UnreadMemory } from './unread-memory.ts';

/** More than this is not gathered. */
const BATCH_BYTES = 64 * 1024;

/** The writing side of a client's connection. */
export class Outgoing {
  readonly #stream: Duplex;
  readonly #batch = new FrameBatch();
  #sentBytes = 0;
  #unread: { readonly client: Unread; readonly memory: UnreadMemory } | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** From now on what the client has yet to read counts among that of all clients, as one of this tenant (`namespace/name`). */
  admit(tenant: string, memory: UnreadMemory, close: (reason: CloseReason) => void): void {
    const queuedBytes = (): number => this.queuedBytes;
    const client = {
      tenant,
      get queuedBytes() {
        return queuedBytes();
      },
      cut: () => {
        const message = `the client has ${queuedBytes()} bytes to read, and all clients together more than --max-unread-bytes allows`;
        close({ reason: CloseCause.UnreadLimit, message });
      },
    };
    this.#unread = { client, memory };
    this.#stream.on('drain', () => this.#count());
  }

  /** Bytes that the client has yet to read, as far as they are kept in this process. */
  get queuedBytes(): number {
    return this.#stream.writableLength + this.#batch.bytes;
  }

  /** Bytes of all frames so far, including those that are queued. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Queues one frame, and returns its length in bytes. */
  send(body: Buffer | string): number {
    if (this.#batch.bytes === 0) process.nextTick(() => this.flush());
    // Bytes are copied: the caller reads the next ones into the same memory.
    const bytes = this.#batch.add(body);
    this.#sentBytes += bytes;
    if (this.#batch.bytes >= BATCH_BYTES) this.flush();
    return bytes;
  }

  /** Hands what was gathered to the stream: before that ends, for the rest it happens by itself. */
  flush(): void {
    if (this.#batch.bytes === 0 || this.#stream.destroyed) return;
    this.#stream.write(this.#batch.take());
    this.#count();
  }

  /** Nothing more is sent. */
  end(): void {
    if (this.#unread !== undefined) this.#unread.memory.forget(this.#unread.client);
    this.#unread = undefined;
  }

  #count(): void {
    if (this.#unread !== undefined) this.#unread.memory.note(this.#unread.client);
  }
}
