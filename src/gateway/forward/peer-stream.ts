/** One end of the stream between two replicas by which one client is forwarded: its frames and the messages beside them. */
import type { Duplex } from 'node:stream';
import { FrameDecoder, ProtocolError, messageOf } from '../../copilot/index.ts';
import { Outgoing } from '../client/outgoing.ts';
import { dropListeners } from '../client/socket.ts';
import { FRAME, MESSAGE, RUN, readMessage, type HolderMessage, type HomeMessage } from './messages.ts';

export interface PeerStreamOptions<Received extends HolderMessage | HomeMessage> {
  readonly stream: Duplex;
  /** The largest frame that is taken, in bytes. */
  readonly maxFrameBytes: number;
  /** A frame of the client, or for it. The bytes are valid only during the call. */
  readonly onFrame: (body: Buffer) => void;
  /** Frames for the client with their headers, and how many; undefined: none may come. The bytes are valid only during the call. */
  readonly onRun?: (frames: Buffer, count: number) => void;
  readonly onMessage: (message: Received) => void;
  /** The other side has read what was written. */
  readonly onDrained: () => void;
  /** The stream has ended, other than by this side; called at most once. `why` is for the log. */
  readonly onEnded: (why: string) => void;
}

/** The first byte of a frame. */
const FRAME_BYTE = FRAME.charCodeAt(0);
const RUN_BYTE = RUN.charCodeAt(0);
/** Behind the number of frames of a run. */
const SPACE = 0x20;
/** More than this is not waited for at the end: the other side has not been reading. */
const LINGER_BYTES = 64 * 1024;

/** Always reads: how much is under way is bounded by what each side is told of the other. */
export class PeerStream<Sent extends HolderMessage | HomeMessage, Received extends HolderMessage | HomeMessage> {
  readonly outgoing: Outgoing;
  readonly #options: PeerStreamOptions<Received>;
  readonly #decoder: FrameDecoder;
  #hasEnded = false;

  constructor(options: PeerStreamOptions<Received>) {
    const { stream, maxFrameBytes } = options;
    this.#options = options;
    this.outgoing = new Outgoing(stream);
    this.#decoder = new FrameDecoder((body) => this.#onBody(body), {
      maxBodyBytes: maxFrameBytes + 1,
      // A run is read in several pieces, and memory of its own for each would have V8 collect garbage all the time.
      borrows: true,
    });
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('drain', () => this.#hasEnded || options.onDrained());
    stream.on('error', (error) => this.#lose(messageOf(error)));
    stream.on('end', () => this.#lose('the other side ended it'));
    stream.on('close', () => {
      this.#lose('it was closed');
      dropListeners(stream);
    });
  }

  /** Queues a frame; the bytes are copied. */
  frame(body: Buffer | string): void {
    if (!this.#hasEnded) this.outgoing.send(body, FRAME);
  }

  /** Queues so many frames that have their headers, as one. */
  run(frames: Buffer, count: number): void {
    if (!this.#hasEnded) this.outgoing.send(frames, `${RUN}${count} `);
  }

  message(message: Sent): void {
    if (!this.#hasEnded) this.outgoing.send(JSON.stringify(message), MESSAGE);
  }

  /** Ends it. What was queued is sent, if it is little. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.outgoing.end();
    const { stream } = this.#options;
    if (this.outgoing.queuedBytes > LINGER_BYTES) return void stream.destroy();
    this.outgoing.flush();
    stream.end(() => stream.destroy());
  }

  #onData(chunk: Buffer): void {
    if (this.#hasEnded) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#lose(messageOf(error));
    }
  }

  #onBody(body: Buffer): void {
    // More may follow in the chunk that ended it.
    if (this.#hasEnded) return;
    const rest = body.subarray(1);
    const { onFrame, onRun } = this.#options;
    if (body[0] === FRAME_BYTE) return onFrame(rest);
    if (body[0] === RUN_BYTE && onRun !== undefined) {
      const end = rest.indexOf(SPACE);
      return onRun(rest.subarray(end + 1), Number(rest.toString('latin1', 0, end)));
    }
    if (body[0] !== MESSAGE.charCodeAt(0)) throw new ProtocolError('expected a frame or a message of a peer');
    this.#options.onMessage(readMessage(rest) as Received);
  }

  #lose(why: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.outgoing.end();
    this.#options.stream.destroy();
    this.#options.onEnded(why);
  }
}
