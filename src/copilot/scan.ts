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

/** What stands around the data of an event. */
export interface EventEnvelope {
  readonly id: string;
  /** Whether it is in no journal. */
  readonly isEphemeral: boolean;
}

/** The start of an answer. */
export interface AnswerHead {
  readonly id: number;
  readonly isError: boolean;
  /** Where the id begins in the body, and where it ends. */
  readonly idStart: number;
  readonly idEnd: number;
}

/** How the body of an event begins, up to its session id. */
export const EVENT_START = Buffer.from('{"jsonrpc":"2.0","method":"session.event","params":{"sessionId":"');
/** What is between the session id and the type. */
export const BEFORE_TYPE = Buffer.from('","event":{"type":"');
const ANSWER_START = Buffer.from('{"jsonrpc":"2.0","id":');
const RESULT = Buffer.from(',"result":');
const ERROR = Buffer.from(',"error":');
const EPHEMERAL = Buffer.from('","ephemeral":true,');
/** The end of an event: servers write the flag at one end of the data or the other. */
const EVENT_END =
  /(,"ephemeral":true)?,"id":"([^"\\]{1,64})","timestamp":"[^"\\]{1,64}","parentId":(?:null|"[^"\\]{1,64}")\}\}\}$/;
const LONGEST_EVENT_END = 300;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
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

/** Id and durability of an event that {@link scanEvent} has read; undefined: the body has to be parsed. */
export function scanEnvelope(body: Buffer, { sessionId, type }: EventHead): EventEnvelope | undefined {
  const end = EVENT_END.exec(body.toString('latin1', Math.max(0, body.length - LONGEST_EVENT_END)));
  if (end?.[2] === undefined) return undefined;
  const typeEnd = EVENT_START.length + sessionId.length + BEFORE_TYPE.length + type.length;
  return { id: end[2], isEphemeral: end[1] !== undefined || hasAt(body, EPHEMERAL, typeEnd) };
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

/** The id of an answer to a client, whose ids are of any kind; undefined: it is none, or not as this side writes one. */
export function scanAnswerId(body: Buffer): RequestId | undefined {
  if (!hasAt(body, ANSWER_START, 0)) return undefined;
  const idStart = ANSWER_START.length;
  const idEnd = body[idStart] === QUOTE ? endOfText(body, idStart) : body.indexOf(COMMA, idStart);
  if (idEnd === -1 || (!hasAt(body, RESULT, idEnd) && !hasAt(body, ERROR, idEnd))) return undefined;
  return JSON.parse(body.toString('utf8', idStart, idEnd)) as RequestId;
}

/** The same answer for the request `id`; the bytes of its result are copied as they are. */
export function answerFor(id: RequestId, body: Buffer, { idStart, idEnd }: AnswerHead): Buffer {
  const text = JSON.stringify(id);
  const answer = Buffer.allocUnsafe(body.length - (idEnd - idStart) + Buffer.byteLength(text));
  body.copy(answer, 0, 0, idStart);
  const end = idStart + answer.write(text, idStart);
  body.copy(answer, end, idEnd);
  return answer;
}

/** Where the bytes end that `belongs` accepts; undefined: there is none, or more than `longest`. */
function endOf(body: Buffer, start: number, longest: number, belongs: (byte: number) => boolean): number | undefined {
  const last = Math.min(body.length, start + longest + 1);
  let end = start;
  while (end < last && belongs(body[end] as number)) end += 1;
  return end === start || end - start > longest ? undefined : end;
}

/** Behind the quote that ends a JSON string; -1: there is none. */
function endOfText(body: Buffer, start: number): number {
  for (let at = start + 1; at < body.length; at += 1) {
    if (body[at] === BACKSLASH) at += 1;
    else if (body[at] === QUOTE) return at + 1;
  }
  return -1;
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
