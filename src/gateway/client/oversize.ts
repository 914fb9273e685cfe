/** A frame that is larger than is allowed, or for which there is no memory: it is answered on its id and skipped, because a client would send it again after a reconnect. */
import type { OversizeReader } from '../../copilot/index.ts';
import { noRoomFor, tooLarge } from './handshake.ts';
import { RequestIdScanner } from './request-id.ts';

/** Where the outcome goes. */
export interface OversizeFrameOptions {
  /** Bytes that a frame may have. */
  readonly allowed: number;
  /** The error answer to a request. */
  readonly toClient: (body: string) => void;
  /** The error answer that takes the place of an answer: whoever waits for it must not wait for ever. */
  readonly toRelay: (body: string) => void;
  /** There is such a frame, of so many bytes. */
  readonly found: (length: number) => void;
}

/** Reads oversize frames of one client, one after the other. */
export class OversizeFrame implements OversizeReader {
  readonly #options: OversizeFrameOptions;
  #scanner = new RequestIdScanner();
  #length = 0;

  constructor(options: OversizeFrameOptions) {
    this.#options = options;
  }

  begun(length: number): void {
    this.#scanner = new RequestIdScanner();
    this.#length = length;
    this.#options.found(length);
  }

  part(bytes: Buffer): void {
    this.#scanner.push(bytes);
  }

  ended(): void {
    const { id, hasMethod } = this.#scanner;
    // A notification, which nobody waits for.
    if (id === undefined) return;
    const { allowed, toClient, toRelay } = this.#options;
    const send = hasMethod ? toClient : toRelay;
    send(this.#length > allowed ? tooLarge(id, this.#length, allowed) : noRoomFor(id, this.#length));
  }
}
