/**
 * From the server to a client: bytes are passed on as they come. Only while an answer is waited for are frames looked at, and frames of
 * the guard itself are put between others.
 */
import { hasAt } from '../copilot/bytes.ts';
import {
  FrameDecoder,
  ProtocolError,
  encodeFrame,
  isObject,
  parseMessage,
  scanAnswerId,
  type RequestId,
} from '../copilot/index.ts';
import { headerOf, plainHeaderEnd, plainLength } from '../copilot/frame-header.ts';
import type { Refusal } from './refusals.ts';
import type { UnderWay } from './sessions.ts';

/** The largest frame that is kept in one piece; larger ones pass in parts. */
const MOST_KEPT_BYTES = 64 * 1024;
/** Enough for the start of an answer, whose id has at most 256 characters. */
const START_BYTES = 1024;
/** How a server begins events and requests. */
const CALL_START = Buffer.from('{"jsonrpc":"2.0","method":');
const EMPTY = Buffer.alloc(0);

/** What a server answers, as far as a guard has to know. */
interface Answer {
  readonly id: RequestId;
  /** It did what it was asked for. */
  readonly isDone: boolean;
}

export interface ServerFramesOptions {
  /** Sends bytes to the client; false: it has yet to read what was sent before. */
  readonly write: (bytes: Buffer) => boolean;
  /** What is sent to the client instead of the server's answer. */
  readonly refuse: (id: RequestId, refusal: Refusal) => void;
  /** An answer that was waited for is there. */
  readonly answered: () => void;
  /** What was held until the end of a large frame is sent. */
  readonly released: () => void;
}

/** One connection's. */
export class ServerFrames {
  readonly #options: ServerFramesOptions;
  readonly #decoder: FrameDecoder;
  readonly #awaited = new Map<RequestId, UnderWay>();
  /** Own frames that wait for the end of one that passes in parts. */
  #held: Buffer[] = [];
  #inParts = false;
  /** The start of that frame, while answers are waited for. */
  #start: Buffer = EMPTY;

  constructor(options: ServerFramesOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder((body) => this.#onBody(body));
    this.#decoder.allow(MOST_KEPT_BYTES, {
      begun: (length) => this.#beginParts(length),
      part: (bytes) => this.#onPart(bytes),
      ended: () => this.#endParts(),
    });
    this.#decoder.offer({ take: (chunk, offset) => this.#takeWhole(chunk, offset) });
  }

  /** Whether answers of exclusive calls are outstanding. */
  get isAwaiting(): boolean {
    return this.#awaited.size > 0;
  }

  /** Bytes of the server. @throws ProtocolError for what are no frames */
  push(chunk: Buffer): void {
    this.#decoder.push(chunk);
  }

  /** Looks out for the answer to a request; false: there is one of the same id already. */
  await(id: RequestId, underWay: UnderWay): boolean {
    if (this.#awaited.has(id)) return false;
    this.#awaited.set(id, underWay);
    return true;
  }

  /** Whether a request of this id is waited for. */
  awaits(id: RequestId): boolean {
    return this.#awaited.has(id);
  }

  /** Sends a frame of the guard's own. Returns whether it is on its way, and does not wait for what is before it. */
  insert(body: string): boolean {
    const frame = Buffer.from(encodeFrame(body));
    if (!this.#inParts) return this.#options.write(frame);
    this.#held.push(frame);
    return false;
  }

  /** Whether frames of the guard wait for the end of one that passes in parts. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** No answer will come any more. */
  lost(): void {
    const awaited = [...this.#awaited.values()];
    this.#awaited.clear();
    for (const underWay of awaited) void underWay.ended(false);
  }

  /** Whole frames in one chunk are passed on together, if nobody waits for one of them. */
  #takeWhole(chunk: Buffer, offset: number): number {
    if (this.#awaited.size > 0) return offset;
    let end = offset;
    for (;;) {
      const bodyStart = plainHeaderEnd(chunk, end);
      if (bodyStart === undefined) break;
      const bodyEnd = bodyStart + plainLength(chunk, end, bodyStart);
      if (bodyEnd > chunk.length) break;
      end = bodyEnd;
    }
    if (end > offset) this.#options.write(chunk.subarray(offset, end));
    return end;
  }

  #onBody(body: Buffer): void {
    const answer = this.#awaited.size === 0 ? undefined : answerIn(body);
    const underWay = answer && this.#awaited.get(answer.id);
    // The bytes are valid during the call only.
    const frame = Buffer.concat([Buffer.from(headerOf(body.length)), body]);
    if (answer === undefined || underWay === undefined) return void this.#options.write(frame);
    this.#awaited.delete(answer.id);
    void this.#passAnswer(answer, underWay, frame);
  }

  /** Frames behind it may overtake it: the order of answers means nothing. */
  async #passAnswer({ id, isDone }: Answer, underWay: UnderWay, frame: Buffer): Promise<void> {
    const refusal = await underWay.ended(isDone);
    if (refusal !== undefined) this.#options.refuse(id, refusal);
    else if (this.#inParts) this.#held.push(frame);
    else this.#options.write(frame);
    this.#options.answered();
  }

  #beginParts(length: number): void {
    this.#inParts = true;
    this.#start = EMPTY;
    this.#options.write(Buffer.from(headerOf(length)));
  }

  #onPart(bytes: Buffer): void {
    if (this.#awaited.size > 0 && this.#start.length < START_BYTES)
      this.#start = Buffer.concat([this.#start, bytes.subarray(0, START_BYTES - this.#start.length)]);
    this.#options.write(bytes);
  }

  #endParts(): void {
    this.#inParts = false;
    const held = this.#held;
    this.#held = [];
    for (const frame of held) this.#options.write(frame);
    if (held.length > 0) this.#options.released();
    const start = this.#start;
    this.#start = EMPTY;
    if (start.length === 0 || hasAt(start, CALL_START, 0)) return;
    const id = scanAnswerId(start);
    if (id === undefined)
      throw new ProtocolError('expected an answer of the server, found a large frame of another form');
    const underWay = this.#awaited.get(id);
    if (underWay === undefined) return;
    this.#awaited.delete(id);
    // No close and no deletion is answered at such length, so nothing is stamped for it.
    void underWay.ended(false).then(() => this.#options.answered());
  }
}

/** Undefined: it is no answer. Only what does not begin as servers write it is parsed for that. */
function answerIn(body: Buffer): Answer | undefined {
  if (hasAt(body, CALL_START, 0)) return undefined;
  const message = parseMessage(body);
  if (message.kind === 'error') return message.id === null ? undefined : { id: message.id, isDone: false };
  if (message.kind !== 'answer') return undefined;
  // A deletion that failed says so in its result.
  const { result } = message;
  return { id: message.id, isDone: !(isObject(result) && result['success'] === false) };
}
