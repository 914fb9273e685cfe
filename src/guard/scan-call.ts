/**
 * Reads of a client's frame what a guard has to know, without parsing the rest: prompts may have megabytes. What a JSON parser might
 * understand otherwise, such as a key that comes twice, has no reading here.
 */
import type { RequestId } from '../copilot/index.ts';

/** What a frame of a client is. */
export type ScannedFrame =
  /** An answer to a request of the server. */
  | { readonly kind: 'answer' }
  | {
      readonly kind: 'call';
      /** Undefined: it is a notification, which gets no answer. */
      readonly id: RequestId | undefined;
      readonly method: string;
      /** `params.sessionId`, if that is a text that is not empty. */
      readonly sessionId: string | undefined;
    }
  /** It has no certain meaning. `id`: that of the request, where it could be read. */
  | { readonly kind: 'malformed'; readonly id: RequestId | null };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const SPACES: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);
/** As for the peers of this project: it is sent back. */
const LONGEST_ID = 256;
/** Longer names are not compared: none that is looked for is as long. */
const LONGEST_KEY = 64;

/** The frame by its body. Bodies that are no JSON are refused by the server itself, so they may pass as anything. */
export function scanCall(body: Buffer): ScannedFrame {
  const fields = new Map<string, readonly [start: number, end: number]>();
  try {
    readFields(body, skipSpaces(body, 0), ['id', 'method', 'params'], fields);
    const id = idIn(body, fields.get('id'));
    const method = fields.get('method');
    if (method === undefined) return { kind: 'answer' };
    const name = textIn(body, method);
    const params = fields.get('params');
    if (name === undefined || id === null) return { kind: 'malformed', id: id ?? null };
    return { kind: 'call', id, method: name, sessionId: params && sessionIn(body, params) };
  } catch (error) {
    if (!(error instanceof Ambiguous)) throw error;
    return { kind: 'malformed', id: error.isOfIds ? null : (idIn(body, fields.get('id')) ?? null) };
  }
}

/** There is more than one way to read it, or none. */
class Ambiguous extends Error {
  readonly isOfIds: boolean;
  constructor(key: string) {
    super(`the frame is ambiguous: ${key}`);
    this.isOfIds = key === 'id';
  }
}

function sessionIn(body: Buffer, [start]: readonly [number, number]): string | undefined {
  if (body[start] !== OPEN_BRACE) return undefined;
  const fields = new Map<string, readonly [number, number]>();
  readFields(body, start, ['sessionId'], fields);
  const found = fields.get('sessionId');
  const text = found && textIn(body, found);
  // A server takes an empty id for none.
  return text === '' ? undefined : text;
}

/** Where the values of these keys of the object at `start` are. Each may come once. */
function readFields(
  body: Buffer,
  start: number,
  wanted: readonly string[],
  found: Map<string, readonly [number, number]>,
): void {
  if (body[start] !== OPEN_BRACE) throw new Ambiguous('it is no object');
  let at = skipSpaces(body, start + 1);
  while (at < body.length && body[at] !== CLOSE_BRACE) {
    if (body[at] !== QUOTE) throw new Ambiguous('a key is no text');
    const keyEnd = skipText(body, at);
    const key = keyOf(body, at, keyEnd);
    at = skipSpaces(body, keyEnd);
    if (body[at] !== COLON) throw new Ambiguous('a key without a value');
    at = skipSpaces(body, at + 1);
    const end = skipValue(body, at);
    if (wanted.includes(key)) {
      if (found.has(key)) throw new Ambiguous(key);
      found.set(key, [at, end]);
    }
    at = skipSpaces(body, end);
    if (body[at] === COMMA) at = skipSpaces(body, at + 1);
    else if (body[at] !== CLOSE_BRACE) throw new Ambiguous('what follows a value');
  }
}

function keyOf(body: Buffer, start: number, end: number): string {
  // Escapes can spell any key in six bytes a character.
  return end - start > 6 * LONGEST_KEY ? '' : String(parsed(body, start, end));
}

/** Undefined: there is none. Null: it is one that cannot be answered. */
function idIn(body: Buffer, field: readonly [number, number] | undefined): RequestId | undefined | null {
  if (field === undefined) return undefined;
  const [start, end] = field;
  if (end - start > LONGEST_ID) return null;
  const id = parsed(body, start, end);
  return typeof id === 'string' || Number.isSafeInteger(id) ? (id as RequestId) : null;
}

function textIn(body: Buffer, [start, end]: readonly [number, number]): string | undefined {
  return body[start] === QUOTE && end - start <= 4096 ? String(parsed(body, start, end)) : undefined;
}

function parsed(body: Buffer, start: number, end: number): unknown {
  try {
    return JSON.parse(body.toString('utf8', start, end));
  } catch {
    throw new Ambiguous('a value is no JSON');
  }
}

function skipSpaces(body: Buffer, start: number): number {
  let at = start;
  while (SPACES.has(body[at])) at += 1;
  return at;
}

/** Behind the quote that ends the text that begins at `start`. */
function skipText(body: Buffer, start: number): number {
  let end = start;
  do {
    end = body.indexOf(QUOTE, end + 1);
    if (end === -1) throw new Ambiguous('a text without an end');
  } while (isEscaped(body, end));
  return end + 1;
}

function isEscaped(body: Buffer, quote: number): boolean {
  let at = quote - 1;
  while (body[at] === BACKSLASH) at -= 1;
  return (quote - 1 - at) % 2 === 1;
}

/** Behind the value that begins at `start`. */
function skipValue(body: Buffer, start: number): number {
  if (body[start] === QUOTE) return skipText(body, start);
  let at = start;
  let depth = 0;
  while (at < body.length) {
    const byte = body[at];
    if (byte === QUOTE) {
      at = skipText(body, at);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (byte === COMMA || SPACES.has(byte))) return at;
    at += 1;
  }
  throw new Ambiguous('a value without an end');
}
