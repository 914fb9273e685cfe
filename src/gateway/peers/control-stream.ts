/** Control messages on one stream between replicas. */
import type { Duplex } from 'node:stream';
import { FrameDecoder, encodeFrame } from '../../copilot/index.ts';
import { toError } from '../../kube/types/errors.ts';
import { MAX_MESSAGE_BYTES, parseControl, type Message } from './messages.ts';

/** More than so many bytes are not kept for a peer that does not read: what it misses is sent again. */
const MAX_QUEUED_BYTES = 1024 * 1024;

/** What happens on it. */
export interface ControlEvents {
  readonly message: (message: Message) => void;
  /** It has ended, once and last. `why` is for the log. */
  readonly ended: (why: string) => void;
}

/** Takes over the stream; what the peer sends is read from now on. */
export class ControlStream {
  readonly #stream: Duplex;
  #hasEnded = false;

  constructor(stream: Duplex, events: ControlEvents) {
    this.#stream = stream;
    const end = (why: string): void => {
      if (this.#hasEnded) return;
      this.#hasEnded = true;
      stream.destroy();
      events.ended(why);
    };
    const decoder = new FrameDecoder((body) => this.#hasEnded || events.message(parseControl(body)), {
      maxBodyBytes: MAX_MESSAGE_BYTES,
    });
    stream.on('data', (chunk: Buffer) => {
      try {
        decoder.push(chunk);
      } catch (error) {
        end(toError(error).message);
      }
    });
    stream.on('error', (error) => end(error.message));
    stream.on('end', () => end('the peer has ended it'));
    stream.on('close', () => end('it was closed'));
  }

  send(message: Message): void {
    if (this.#hasEnded || this.#stream.writableLength > MAX_QUEUED_BYTES) return;
    this.#stream.write(encodeFrame(JSON.stringify(message)));
  }

  /** Ends it after what was sent; `ended` is not called. */
  end(): void {
    this.#hasEnded = true;
    this.#stream.end();
  }

  /** Ends it at once. */
  destroy(): void {
    this.#hasEnded = true;
    this.#stream.destroy();
  }
}
