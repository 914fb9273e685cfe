/**
 * Reads the start of a server's frame without parsing it: most frames are only passed on, and parsing one and formatting it
 * again costs six times as much. Whatever does not begin as the server's programs write it has to be parsed.
 */
import { hasAt } from './bytes.ts';
import type { RequestId } from './message.ts';

/** The start of a `session.event` notification. */
export interface EventHead {
  readonly sessionId: string;
  /** Type of the event, such as `assistant.message_delta`. */
  readonly type: string;
}

/** The start of an answer. */
export interface AnswerHead {
  readonly id: number;
  readonly isError: boolean;
  /** Where the id begins in the body, and where it ends. */
  readonly idStart: number;
  readonly idEnd: number;
}

const EVENT_START = Buffer.from('{"jsonrpc":"2.0","method":"session.event","params":{"sessionId":"');
const BEFORE_TYPE = Buffer.from('","event":{"type":"');
const ANSWER_START = Buffer.from('{"jsonrpc":"2.0","id":');
const RESULT = Buffer.from(',"result":');
const ERROR = Buffer.from(',"error":');
const QUOTE = 0x22;
const LONGEST_SESSION_ID = 255;
const LONGEST_TYPE = 64;
/** More digits than these are not exact in a number. */
const LONGEST_ID = 15;

/** The session and type of an event; undefined: the body has to be parsed. */
export function scanEvent(body: Buffer): EventHead | undefined {
  if (!hasAt(body, EVENT_START, 0)) return undefined;
  const idEnd = endOf(body, EVENT_START.length, LONGEST_SESSION_ID, isIdByte);
  if (idEnd === undefined || !hasAt(body, BEFORE_TYPE, idEnd)) return undefined;
  const typeStart = idEnd + BEFORE_TYPE.length;
  const typeEnd = endOf(body, typeStart, LONGEST_TYPE, isTypeByte);
  if (typeEnd === undefined || body[typeEnd] !== QUOTE) return undefined;
  return {
    sessionId: body.toString('latin1', EVENT_START.length, idEnd),
    type: body.toString('latin1', typeStart, typeEnd),
  };
}

/** The id of an answer, and whether it is an error; undefined: the body has to be parsed. */
export function scanAnswer(body: Buffer): AnswerHead | undefined {
  if (!hasAt(body, ANSWER_START, 0)) return undefined;
  const idStart = ANSWER_START.length;
  const idEnd = endOf(body, idStart, LONGEST_ID, isDigit);
  if (idEnd === undefined) return undefined;
  const isError = hasAt(body, ERROR, idEnd);
  if (!isError && !hasAt(body, RESULT, idEnd)) return undefined;
  return { id: Number(body.toString('latin1', idStart, idEnd)), isError, idStart, idEnd };
}

/** The same answer for the request `id`; the bytes of its result are copied as they are. */
export function answerFor(id: RequestId, body: Buffer, { idStart, idEnd }: AnswerHead): Buffer {
  return Buffer.concat([body.subarray(0, idStart), Buffer.from(JSON.stringify(id)), body.subarray(idEnd)]);
}

/** Where the bytes end that `belongs` accepts; undefined: there is none, or more than `longest`. */
function endOf(body: Buffer, start: number, longest: number, belongs: (byte: number) => boolean): number | undefined {
  const last = Math.min(body.length, start + longest + 1);
  let end = start;
  while (end < last && belongs(body[end] as number)) end += 1;
  return end === start || end - start > longest ? undefined : end;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isLower(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a;
}

/** The alphabet of session ids, `[0-9A-Za-z_-]`. */
function isIdByte(byte: number): boolean {
  return isLower(byte) || isDigit(byte) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || byte === 0x2d;
}

/** The alphabet of event types, `[a-z0-9_.]`. */
function isTypeByte(byte: number): boolean {
  return isLower(byte) || isDigit(byte) || byte === 0x5f || byte === 0x2e;
}
