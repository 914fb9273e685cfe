/** What is written to a client: whole frames, of which those of one turn of the event loop are one write, or more of them while it does not read. */
import type { Duplex } from 'node:stream';
import { FrameBatch } from '../../copilot/index.ts';
import type { CloseReason } from '../model.ts';
import { CloseCause } from './model.ts';
import type { Unread, UnreadMemory } from './unread-memory.ts';

/** More than this is not gathered. A write that waits costs the process some hundred bytes besides its own. */
const BATCH_BYTES = 64 * 1024;

let looks: (() => void)[] = [];

/** At the end of the turn, which many connections have frames of: one callback of node for all of them. */
function lookLater(look: () => void): void {
  if (looks.length === 0) process.nextTick(lookAtAll);
  looks.push(look);
}

function lookAtAll(): void {
  const all = looks;
  looks = [];
  for (const look of all) look();
}

/**
 * A client, as far as it takes memory. A class: an object that is written with a getter has a hidden class of its own, which V8 makes in its old
 * generation, and that keeps all that the getter reads until the next full collection.
 */
class Reader implements Unread {
  readonly tenant: string;
  readonly #outgoing: Outgoing;
  readonly #close: (reason: CloseReason) => void;

  constructor(tenant: string, outgoing: Outgoing, close: (reason: CloseReason) => void) {
    this.tenant = tenant;
    this.#outgoing = outgoing;
    this.#close = close;
  }

  get queuedBytes(): number {
    return this.#outgoing.queuedBytes;
  }

  cut(): void {
    const message = `the client has ${this.queuedBytes} bytes to read, and all clients together more than --max-unread-bytes allows`;
    this.#close({ reason: CloseCause.UnreadLimit, message });
  }
}

/** The writing side of a client's connection, or of the stream to a peer that a client is forwarded by. */
export class Outgoing {
  readonly #stream: Duplex;
  readonly #batch = new FrameBatch();
  #sentBytes = 0;
  #isLookedAt = false;
  #unread: { readonly client: Unread; readonly memory: UnreadMemory } | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** From now on what the client has yet to read counts among that of all clients, as one of this tenant (`namespace/name`). */
  admit(tenant: string, memory: UnreadMemory, close: (reason: CloseReason) => void): void {
    this.#unread = { client: new Reader(tenant, this, close), memory };
  }

  /** Bytes that the client has yet to read, as far as they are kept in this process. */
  get queuedBytes(): number {
    return this.#stream.writableLength + this.#batch.bytes;
  }

  /** Bytes of all frames so far, including those that are queued. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Queues one frame, and returns its length in bytes. `prefix`: ASCII characters with which its body is to begin. */
  send(body: Buffer | string, prefix = ''): number {
    this.#makeRoom(body.length);
    // Bytes are copied: the caller reads the next ones into the same memory.
    const bytes = this.#batch.add(body, prefix);
    this.#added(bytes);
    return bytes;
  }

  /** The same with frames that have their headers. */
  sendFrames(frames: Buffer): void {
    this.#makeRoom(frames.length);
    this.#batch.addFrames(frames);
    this.#added(frames.length);
  }

  /** What was gathered need not be copied to larger memory. */
  #makeRoom(bytes: number): void {
    if (this.#batch.bytes > 0 && this.#batch.bytes + bytes > BATCH_BYTES) this.flush();
  }

  #added(bytes: number): void {
    if (!this.#isLookedAt) lookLater(this.#look);
    this.#isLookedAt = true;
    this.#sentBytes += bytes;
    if (this.#batch.bytes >= BATCH_BYTES) this.flush();
  }

  /** Hands what was gathered to the stream: before that ends, for the rest it happens by itself. */
  flush(): void {
    if (this.#batch.bytes > 0 && !this.#stream.destroyed) {
      const { frames, free } = this.#batch.take();
      this.#stream.write(frames, free === undefined ? this.#written : () => this.#written(free));
    }
    this.#count();
  }

  /** At the end of a turn: while a write is not completed, more is gathered for the next one. */
  readonly #look = (): void => {
    this.#isLookedAt = false;
    if (this.#stream.writableLength === 0) this.flush();
    else this.#count();
  };

  /** Not on `drain`, which follows only where much was written. */
  readonly #written = (free?: unknown): void => {
    if (typeof free === 'function') free();
    if (this.#stream.writableLength === 0) this.flush();
  };

  /** Nothing more is sent. */
  end(): void {
    if (this.#unread !== undefined) this.#unread.memory.forget(this.#unread.client);
    this.#unread = undefined;
  }

  #count(): void {
    if (this.#unread !== undefined) this.#unread.memory.note(this.#unread.client);
  }
}
