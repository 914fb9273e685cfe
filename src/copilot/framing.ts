/**
 * The framing of the CLI server, which is the Language Server Protocol's: `Content-Length: N\r\n\r\n` and N bytes of JSON.
 * docs/protocol.md has what the server really sends.
 */
import { BLOCK_BYTES, borrowBlock, type Block } from './blocks.ts';
import { ProtocolError, quote } from './errors.ts';
import { plainHeaderEnd, plainLength } from './frame-header.ts';

/** The most that a decoder keeps in memory for its peer. */
export interface FrameLimits {
  /** Largest body, in bytes; default 16 MiB (a listing of 100,000 sessions). */
  readonly maxBodyBytes?: number;
  /** All header lines of one frame together, in bytes; default 4096. */
  readonly maxHeaderBytes?: number;
  /**
   * Whether a block is borrowed for a body that comes in pieces, if that fits: for streams of many such bodies. An announced length reserves memory
   * then, so the sender has to be trusted.
   */
  readonly borrows?: boolean;
}

/** Takes a body that is larger than is allowed, or that was abandoned, in parts of which none is kept, so that the frames behind it can still be read. */
export interface OversizeReader {
  /** `length` as announced, in bytes. */
  begun(length: number): void;
  /** The bytes are valid only during the call. */
  part(bytes: Buffer): void;
  ended(): void;
}

const DEFAULT_MAX_BODY = 16 * 1024 * 1024;
const DEFAULT_MAX_HEADER = 4096;
const LF = 0x0a;
const CR = 0x0d;
const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
const HEADER_START = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*(:|\r?$)/;
const EMPTY = Buffer.alloc(0);
/** For smaller bodies, in bytes, no block is borrowed. */
const LEAST_IN_BLOCK = 8 * 1024;

/** Takes whole frames at the begin of a frame, before they are split. Returns where they end; `offset`: it takes none. */
export interface RunReader {
  take(chunk: Buffer, offset: number, maxBodyBytes: number): number;
}

/**
 * Splits a byte stream into the bodies of its frames, however the stream is chunked. Of an incomplete frame it keeps at most
 * twice the bytes that have arrived, unless it borrows: an announced length reserves nothing.
 */
export class FrameDecoder {
  readonly #onBody: (body: Buffer) => void;
  #maxBody: number;
  readonly #maxHeader: number;
  readonly #borrows: boolean;
  #oversize: OversizeReader | undefined;
  #runs: RunReader | undefined;
  /** Bytes of an oversize body that have yet to arrive; undefined: this frame is not one. */
  #oversizeLeft: number | undefined;
  /** Bytes of the incomplete header line or body; `#kept` of them are used. */
  #partial: Buffer = EMPTY;
  /** What `#partial` is of, if that was borrowed. */
  #block: Block | undefined;
  #kept = 0;
  /** Header bytes of this frame in the lines already parsed. */
  #headerBytes = 0;
  #contentLength: number | undefined;
  #inBody = false;
  #failure: ProtocolError | undefined;

  /** `onBody` must not keep the bytes after it returns: they may be a view of the caller's chunk. */
  constructor(onBody: (body: Buffer) => void, limits: FrameLimits = {}) {
    this.#onBody = onBody;
    this.#maxBody = limits.maxBodyBytes ?? DEFAULT_MAX_BODY;
    this.#maxHeader = limits.maxHeaderBytes ?? DEFAULT_MAX_HEADER;
    this.#borrows = limits.borrows ?? false;
  }

  /** From the next header on, bodies may have `maxBodyBytes`, and larger ones go to `oversize` instead of ending the stream. */
  allow(maxBodyBytes: number, oversize: OversizeReader): void {
    this.#maxBody = maxBodyBytes;
    this.#oversize = oversize;
  }

  /** From now on whole frames are offered to `runs` first. */
  offer(runs: RunReader | undefined): void {
    this.#runs = runs;
  }

  /** Bytes held of an incomplete frame; 0 between frames, and so whether the stream may end here. */
  get pendingBytes(): number {
    return this.#headerBytes + this.#kept;
  }

  /** Memory reserved for the incomplete frame, in bytes. */
  get reservedBytes(): number {
    return this.#partial.length;
  }

  /** Gives an incomplete body to the reader of oversize ones, as far as it has arrived, and frees its memory. */
  abandon(): void {
    if (!this.#inBody || this.#oversizeLeft !== undefined || this.#oversize === undefined) return;
    const length = this.#contentLength ?? 0;
    this.#oversizeLeft = length - this.#kept;
    this.#oversize.begun(length);
    this.#oversize.part(this.#partial.subarray(0, this.#kept));
    this.#partial = EMPTY;
    this.#kept = 0;
  }

  /**
   * Takes the next bytes of the stream.
   * @throws ProtocolError that names what was found. No frame boundary is known after it, so every further call throws it
   * again.
   */
  push(chunk: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure;
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#inBody) offset = this.#takeBody(chunk, offset);
      else {
        const end = this.#takeRun(chunk, offset);
        offset = end > offset ? end : this.#takeHeaderLine(chunk, offset);
      }
    }
  }

  #takeRun(chunk: Buffer, offset: number): number {
    if (this.#runs === undefined || this.#kept > 0 || this.#headerBytes > 0) return offset;
    return this.#runs.take(chunk, offset, this.#maxBody);
  }

  #takeBody(chunk: Buffer, offset: number): number {
    if (this.#oversizeLeft !== undefined) return this.#skipBody(chunk, offset, this.#oversizeLeft);
    const length = this.#contentLength ?? 0;
    const missing = length - this.#kept;
    const available = chunk.length - offset;
    if (available < missing) {
      this.#keep(chunk.subarray(offset), length);
      return chunk.length;
    }
    const end = offset + missing;
    let body = chunk.subarray(offset, end);
    if (this.#kept > 0) {
      this.#keep(body, length);
      body = this.#partial.subarray(0, length);
    }
    const block = this.#block;
    this.#reset();
    this.#onBody(body);
    // If that has thrown, it is garbage.
    block?.free();
    return end;
  }

  #skipBody(chunk: Buffer, offset: number, left: number): number {
    const end = Math.min(chunk.length, offset + left);
    this.#oversize?.part(chunk.subarray(offset, end));
    this.#oversizeLeft = left - (end - offset);
    if (this.#oversizeLeft > 0) return end;
    this.#reset();
    this.#oversize?.ended();
    return end;
  }

  /** The header as the server and the SDKs write it, if it has arrived in one piece; every other one is read line by line. */
  #takePlainHeader(chunk: Buffer, offset: number): number | undefined {
    if (this.#kept > 0 || this.#headerBytes > 0) return undefined;
    const end = plainHeaderEnd(chunk, offset);
    if (end === undefined) return undefined;
    const length = plainLength(chunk, offset, end);
    if (length > this.#maxBody || end - offset > this.#maxHeader) return undefined;
    this.#headerBytes = end - offset;
    this.#contentLength = length;
    this.#inBody = true;
    return end;
  }

  #takeHeaderLine(chunk: Buffer, offset: number): number {
    const end = this.#takePlainHeader(chunk, offset);
    return end ?? this.#takeAnyHeaderLine(chunk, offset);
  }

  #takeAnyHeaderLine(chunk: Buffer, offset: number): number {
    const lineEnd = chunk.indexOf(LF, offset);
    const end = lineEnd === -1 ? chunk.length : lineEnd + 1;
    if (this.#headerBytes + this.#kept + (end - offset) > this.#maxHeader) {
      this.#fail(`a frame header of more than ${this.#maxHeader} bytes`);
    }
    if (lineEnd === -1) {
      this.#keep(chunk.subarray(offset), this.#maxHeader);
      this.#refuseForeignStart();
      return end;
    }
    let line = chunk.subarray(offset, end);
    if (this.#kept > 0) {
      this.#keep(line, this.#maxHeader);
      line = this.#partial.subarray(0, this.#kept);
    }
    this.#headerBytes += line.length;
    this.#takeHeader(line);
    this.#kept = 0;
    // A body of length 0 is complete without another byte.
    if (this.#inBody && this.#contentLength === 0) this.#takeBody(EMPTY, 0);
    return end;
  }

  /** Recognises another protocol by its first bytes: a peer that waits for us would otherwise end as a time-out. */
  #refuseForeignStart(): void {
    const start = this.#partial.toString('latin1', 0, this.#kept);
    if (!HEADER_START.test(start)) this.#fail(foreign(start));
  }

  #takeHeader(line: Buffer): void {
    const text = line.toString('latin1', 0, line.length - 2);
    if (line.length < 2 || line[line.length - 2] !== CR) {
      this.#fail(foreign(line.toString('latin1', 0, line.length - 1), 'a header line that does not end with CR LF'));
    }
    if (text === '') {
      if (this.#contentLength === undefined) this.#fail('a frame header without Content-Length');
      this.#inBody = true;
      if (this.#oversizeLeft !== undefined) this.#oversize?.begun(this.#oversizeLeft);
      return;
    }
    const [, name, value = ''] = HEADER_LINE.exec(text) ?? [];
    if (name === undefined) this.#fail(foreign(text));
    if (name.toLowerCase() === 'content-length') this.#takeContentLength(value);
  }

  #takeContentLength(value: string): void {
    if (this.#contentLength !== undefined) this.#fail('a frame header with two Content-Length lines');
    // Only digits: Number() would also take "0x10", "1e9", "" and "-1".
    if (!/^[0-9]{1,15}$/.test(value)) this.#fail(`Content-Length ${quote(value)}, which is not a number of bytes`);
    const length = Number(value);
    if (length > this.#maxBody) {
      if (this.#oversize === undefined)
        this.#fail(`a frame of ${length} bytes, more than the ${this.#maxBody} allowed`);
      this.#oversizeLeft = length;
    }
    this.#contentLength = length;
  }

  /** Copies bytes behind those kept, growing by doubling so that a peer that sends single bytes costs no more. */
  #keep(bytes: Buffer, atMost: number): void {
    const needed = this.#kept + bytes.length;
    if (needed > this.#partial.length) {
      const grown = this.#grown(needed, atMost);
      this.#partial.copy(grown, 0, 0, this.#kept);
      this.#partial = grown;
    }
    bytes.copy(this.#partial, this.#kept);
    this.#kept = needed;
  }

  #grown(needed: number, atMost: number): Buffer {
    if (this.#borrows && atMost >= LEAST_IN_BLOCK && atMost <= BLOCK_BYTES) {
      this.#block = borrowBlock();
      return this.#block.memory;
    }
    return Buffer.allocUnsafeSlow(Math.min(Math.max(needed * 2, 64), Math.max(atMost, needed)));
  }

  #reset(): void {
    this.#partial = EMPTY;
    this.#block = undefined;
    this.#kept = 0;
    this.#headerBytes = 0;
    this.#contentLength = undefined;
    this.#oversizeLeft = undefined;
    this.#inBody = false;
  }

  #fail(found: string): never {
    this.#reset();
    this.#failure = new ProtocolError(`expected a frame of the Copilot CLI server, found ${found}`);
    throw this.#failure;
  }
}

/** Names the program that probably listens there, for the two that are most likely to be reached by mistake. */
function foreign(line: string, otherwise?: string): string {
  if (line.startsWith('HTTP/')) return `an HTTP answer ${quote(line)}: a web server listens on the port`;
  if (line.startsWith('SSH-')) return `an SSH greeting ${quote(line)}`;
  return otherwise === undefined ? quote(line) : `${otherwise}: ${quote(line)}`;
}
