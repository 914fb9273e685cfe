/** What is read of a client: its bytes, as frames. */
import { FrameDecoder } from '../../copilot/index.ts';
import type { FrameHolder, FrameMemory } from './frame-memory.ts';
import { OversizeFrame, type OversizeFrameOptions } from './oversize.ts';

/** Where frames go. */
export interface IncomingOptions {
  readonly memory: FrameMemory;
  /** The largest frame before admission, in bytes. */
  readonly greetingBytes: number;
  /** The bytes are valid only during the call. */
  readonly onBody: (body: Buffer) => void;
}

/** The reading side of a client's connection. */
export class Incoming {
  readonly #decoder: FrameDecoder;
  readonly #memory: FrameMemory;
  #holder: FrameHolder | undefined;

  constructor({ memory, greetingBytes, onBody }: IncomingOptions) {
    this.#memory = memory;
    this.#decoder = new FrameDecoder(onBody, { maxBodyBytes: greetingBytes });
  }

  /** From now on frames may be as large as those of a client of this tenant (`namespace/name`). */
  admit(tenant: string, oversize: OversizeFrameOptions): void {
    this.#holder = { tenant, abandon: () => this.#decoder.abandon() };
    this.#decoder.allow(oversize.allowed, new OversizeFrame(oversize));
  }

  /** @throws ProtocolError as {@link FrameDecoder.push} does */
  push(chunk: Buffer): void {
    this.#decoder.push(chunk);
    if (this.#holder !== undefined) this.#memory.hold(this.#holder, this.#decoder.reservedBytes);
  }

  /** Nothing more is read. */
  end(): void {
    if (this.#holder !== undefined) this.#memory.hold(this.#holder, 0);
    this.#holder = undefined;
  }
}
