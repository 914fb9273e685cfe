/**
 * Frames of a server that are passed on as they are, many at a time. Most frames of a turn are pieces of an answer, and what is done with
 * each of them costs more than their bytes.
 */
import { Pattern, viewOf } from './bytes.ts';
import { plainHeaderEnd, plainLength } from './frame-header.ts';
import type { RunReader } from './framing.ts';
import { BEFORE_TYPE, EVENT_START, scanEvent } from './scan.ts';

/** Events of one session whose frames are one behind the other. */
export interface EventRun {
  /** The frames with their headers. The bytes are valid only during the call. */
  readonly frames: Buffer;
  readonly count: number;
  /** Bytes of their bodies. */
  readonly bodyBytes: number;
}

/** Takes runs of events of one session. */
export interface RunTaker {
  takeRun(run: EventRun): void;
}

export interface EventRunsOptions {
  /** Whether events of this type may be passed on unread. */
  readonly isPassed: (type: string) => boolean;
  /** Who takes those of this session now; undefined: each is to be taken by itself. */
  readonly takerOf: (sessionId: string) => RunTaker | undefined;
}

/** Types that are known by their bytes: more than there are, but a server may say anything. */
const MOST_TYPES = 16;
/** Sessions that are known by their bytes. */
const MOST_SESSIONS = 256;
/** Where events differ first from answers. */
const METHOD_AT = EVENT_START.indexOf('method');
const [METHOD] = EVENT_START.subarray(METHOD_AT);

/** Finds runs of events in what was read of a server. An event is compared with the ones before it. */
export class EventRuns implements RunReader {
  readonly #options: EventRunsOptions;
  #sessionId = '';
  /** How an event of the last session begins, up to the end of its id. */
  #start: Pattern | undefined;
  /** The same of the sessions before it: events of several may come in turn. */
  readonly #starts = new Map<string, Pattern>();
  /** What follows that in events that are passed on, up to the quote behind the type. */
  #types: Pattern[] = [];

  constructor(options: EventRunsOptions) {
    this.#options = options;
  }

  take(chunk: Buffer, offset: number, maxBodyBytes: number): number {
    let end = offset;
    let count = 0;
    let bodyBytes = 0;
    let taker: RunTaker | undefined;
    let view: DataView | undefined;
    for (;;) {
      const at = plainHeaderEnd(chunk, end);
      if (at === undefined || chunk[at + METHOD_AT] !== METHOD) break;
      const length = plainLength(chunk, end, at);
      if (length > maxBodyBytes || at + length > chunk.length) break;
      view ??= viewOf(chunk);
      if (!this.#isOfLast(view, at, length)) {
        if (count > 0 || !this.#learn(view, at, chunk.subarray(at, at + length))) break;
      }
      if (count === 0) taker = this.#options.takerOf(this.#sessionId);
      if (taker === undefined) break;
      end = at + length;
      bodyBytes += length;
      count += 1;
    }
    if (count > 0) taker?.takeRun({ frames: chunk.subarray(offset, end), count, bodyBytes });
    return end;
  }

  /** Whether the body is an event of the last session, and passed on. */
  #isOfLast(bytes: DataView, at: number, length: number): boolean {
    const start = this.#start;
    if (start === undefined || !start.isAt(bytes, at)) return false;
    for (const type of this.#types) {
      // What is behind the body does not count.
      if (type.isAt(bytes, at + start.length) && start.length + type.length <= length) return true;
    }
    return false;
  }

  /** Reads an event of another session, or of another type. Returns whether it is one that is passed on. */
  #learn(bytes: DataView, at: number, body: Buffer): boolean {
    const event = scanEvent(body);
    if (event === undefined || !this.#options.isPassed(event.type)) return false;
    const idEnd = EVENT_START.length + event.sessionId.length;
    this.#sessionId = event.sessionId;
    this.#start = this.#startOf(event.sessionId, body);
    if (this.#types.some((type) => type.isAt(bytes, at + idEnd))) return true;
    if (this.#types.length === MOST_TYPES) this.#types = [];
    this.#types.push(new Pattern(body.subarray(idEnd, idEnd + BEFORE_TYPE.length + event.type.length + 1)));
    return true;
  }

  #startOf(sessionId: string, body: Buffer): Pattern {
    const known = this.#starts.get(sessionId);
    if (known !== undefined) return known;
    const start = new Pattern(body.subarray(0, EVENT_START.length + sessionId.length));
    if (this.#starts.size === MOST_SESSIONS) this.#starts.clear();
    this.#starts.set(sessionId, start);
    return start;
  }
}
