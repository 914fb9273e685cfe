/** The header of a frame as programs write it, with `Content-Length` alone: how it is written, and read at once. */
import { hasAt } from './bytes.ts';

const LF = 0x0a;
const CR = 0x0d;
const ZERO = 0x30;
const PLAIN_START = Buffer.from('Content-Length: ');
/** Digits of a length that is read at once, and they with the end of the header behind them. */
const PLAIN_DIGITS = 10;
const PLAIN_REST = PLAIN_DIGITS + 4;
const PLAIN_END = 4;

/** One frame as a string, so that header and body are sent in one write (two small writes cost a delayed ACK, 40 ms). */
export function encodeFrame(body: string): string {
  return encodeSizedFrame(body, Buffer.byteLength(body));
}

/** The same for who knows how many bytes the body has. */
export function encodeSizedFrame(body: string, bodyBytes: number): string {
  return `${headerOf(bodyBytes)}${body}`;
}

/** What precedes a body of so many bytes. */
export function headerOf(bodyBytes: number): string {
  return `Content-Length: ${bodyBytes}\r\n\r\n`;
}

/** Where a header ends that begins at `offset` and is one as programs write it, with a body behind it; undefined: it is none. */
export function plainHeaderEnd(chunk: Buffer, offset: number): number | undefined {
  const first = offset + PLAIN_START.length;
  // Beyond the end of the chunk there is nothing to look at.
  if (first + PLAIN_REST > chunk.length || chunk[first] === ZERO || !hasAt(chunk, PLAIN_START, offset))
    return undefined;
  let at = first;
  while (at < first + PLAIN_DIGITS && isDigit(chunk[at] as number)) at += 1;
  const isEnd = chunk[at] === CR && chunk[at + 1] === LF && chunk[at + 2] === CR && chunk[at + 3] === LF;
  return isEnd && at > first ? at + PLAIN_END : undefined;
}

/** The length in the header between these places, which {@link plainHeaderEnd} has found. */
export function plainLength(chunk: Buffer, offset: number, end: number): number {
  let length = 0;
  for (let at = offset + PLAIN_START.length; at < end - PLAIN_END; at += 1)
    length = length * 10 + (chunk[at] as number) - ZERO;
  return length;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}
