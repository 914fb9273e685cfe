/** A connection to a server that carries whole frames, for who looks into few of them. The client of calls is client.ts. */
import { ProtocolError, TimeoutError, UnreachableError, messageOf, type CopilotError } from './errors.ts';
import { encodeSizedFrame } from './frame-header.ts';
import { FrameDecoder, type OversizeReader, type RunReader } from './framing.ts';
import { addressOf, dialTcpGathering, type Dial, type Wire } from './wire.ts';

export interface FrameConnectionOptions {
  /** DNS name or IP address of the server. */
  readonly host: string;
  readonly port: number;
  /** How TCP connections are made; default `dialTcpGathering`. */
  readonly dial?: Dial | undefined;
  /** Largest frame accepted, in bytes. */
  readonly maxFrameBytes: number;
  /** There is a TCP connection. */
  readonly onConnected: () => void;
  /** The body of a frame. The bytes are valid only during the call. If it throws, the connection is closed. */
  readonly onBody: (body: Buffer) => void;
  /** Gets whole frames before `onBody` does; undefined: all go there. */
  readonly runs?: RunReader | undefined;
  /** A larger frame has passed, of which only its first 64 bytes are known, and its length in bytes. */
  readonly onOversize: (start: Buffer, length: number) => void;
  /** The server has read what was written, after {@link FrameConnection.isWritable} was false. */
  readonly onDrained: () => void;
  /** Called once when the connection ends other than by `close`. */
  readonly onLost: (error: CopilotError) => void;
}

/** One TCP connection, dialled at once. It never pauses reading: a server keeps without limit what its client does not read. */
export class FrameConnection {
  /** `host:port`, with which error messages begin. */
  readonly address: string;
  readonly #options: FrameConnectionOptions;
  readonly #decoder: FrameDecoder;
  readonly #wire: Wire;
  #isWritable = true;
  #signs = 0;
  #ended = false;

  constructor(options: FrameConnectionOptions) {
    const { host, port, dial = dialTcpGathering, maxFrameBytes } = options;
    this.address = addressOf(options);
    this.#options = options;
    this.#decoder = new FrameDecoder((body) => this.#onBody(body));
    this.#decoder.allow(maxFrameBytes, startOf(options.onOversize));
    const { runs } = options;
    this.#decoder.offer(
      runs && { take: (chunk, offset, most) => (this.#ended ? offset : runs.take(chunk, offset, most)) },
    );
    this.#wire = dial(
      { host, port },
      {
        connected: () => options.onConnected(),
        data: (chunk) => this.#onData(chunk),
        drained: () => this.#onDrained(),
        closed: (error) => this.#onClosed(error),
      },
    );
  }

  /** Whether the server reads as fast as this side writes. While it is false, what is written is kept in memory. */
  get isWritable(): boolean {
    return this.#isWritable;
  }

  /** Rises whenever the server has said something, if only a part of a frame, or has taken what waited for it. */
  get signs(): number {
    return this.#signs;
  }

  /** Sends one frame; after the end of the connection it does nothing. Returns the length of the body in bytes. */
  send(body: string): number {
    const bytes = Buffer.byteLength(body);
    if (!this.#ended) this.#isWritable = this.#wire.write(encodeSizedFrame(body, bytes));
    return bytes;
  }

  /** Closes the connection. Calling it again does nothing. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#wire.destroy();
  }

  #lose(error: CopilotError): void {
    if (this.#ended) return;
    this.close();
    this.#options.onLost(error);
  }

  #onData(chunk: Buffer): void {
    if (this.#ended) return;
    this.#signs += 1;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#lose(new ProtocolError(`${this.address}: ${messageOf(error)}`, { cause: error }));
    }
  }

  #onBody(body: Buffer): void {
    // More frames of the same chunk may follow the one that ended the connection.
    if (!this.#ended) this.#options.onBody(body);
  }

  #onDrained(): void {
    if (this.#ended) return;
    this.#signs += 1;
    this.#isWritable = true;
    this.#options.onDrained();
  }

  #onClosed(error: NodeJS.ErrnoException | undefined): void {
    const code = error?.code ?? error?.message;
    // Found by TCP keepalive: the server has ended nothing, and may still have the connection.
    if (code === 'ETIMEDOUT')
      return this.#lose(new TimeoutError(`${this.address}: the path to the server is lost`, { cause: error }));
    const half = this.#decoder.pendingBytes > 0 ? ' in the middle of a frame' : '';
    this.#lose(
      new UnreachableError(
        `${this.address}: the server closed the connection${half}${code === undefined ? '' : ` (${code})`}`,
        error === undefined ? {} : { cause: error },
      ),
    );
  }
}

/** Bytes of a frame that is skipped which tell what it was. */
const START_BYTES = 64;

function startOf(onOversize: (start: Buffer, length: number) => void): OversizeReader {
  let length = 0;
  let start = Buffer.alloc(0);
  return {
    begun: (announced) => {
      length = announced;
      start = Buffer.alloc(0);
    },
    part: (bytes) => {
      if (start.length < START_BYTES) start = Buffer.concat([start, bytes.subarray(0, START_BYTES - start.length)]);
    },
    ended: () => onOversize(start, length),
  };
}
