/** JSON-RPC 2.0 messages as text and as objects. */
import { isUtf8 } from 'node:buffer';
import { ProtocolError, quote } from './errors.ts';

/** A JSON-RPC 2.0 message, by its shape. */
export type Message =
  | { readonly kind: 'answer'; readonly id: RequestId; readonly result: unknown }
  | {
      readonly kind: 'error';
      readonly id: RequestId | null;
      readonly code: number;
      readonly message: string;
      /** What else it says; undefined: nothing. */
      readonly data?: unknown;
    }
  | { readonly kind: 'request'; readonly id: RequestId; readonly method: string; readonly params: unknown }
  | { readonly kind: 'notification'; readonly method: string; readonly params: unknown };

/** What matches an answer to its request. */
export type RequestId = number | string;

/** Deeper JSON than any answer of the server (about 6), shallower than what breaks a recursive reader. */
const MAX_DEPTH = 128;
/** A request's id is sent back, so its length is bounded. */
const MAX_ID_LENGTH = 256;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Reads one frame's body.
 * @throws ProtocolError that names what was found instead of a JSON-RPC message.
 */
export function parseMessage(body: Buffer): Message {
  const value = parseJson(body);
  // The server rejects batches itself (-32600), and never sends one.
  if (Array.isArray(value)) throw wrong('a JSON-RPC batch (array)');
  if (typeof value !== 'object' || value === null) throw wrong(`the JSON value ${quote(JSON.stringify(value))}`);
  const { jsonrpc, id, method, params, result, error } = value as Record<string, unknown>;
  if (jsonrpc !== '2.0') throw wrong('a JSON object without "jsonrpc":"2.0"');

  if (typeof method === 'string') {
    return id === undefined
      ? { kind: 'notification', method, params }
      : { kind: 'request', id: idOf(id), method, params };
  }
  if (method !== undefined) throw wrong('a "method" that is not a string');
  const hasError = error !== undefined;
  if (hasError === Object.hasOwn(value, 'result')) throw wrong('not exactly one of "method", "result" and "error"');
  if (!hasError) return { kind: 'answer', id: idOf(id), result };
  const { code, message, data } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  if (typeof code !== 'number' || typeof message !== 'string') throw wrong('an "error" without code and message');
  // JSON-RPC's null: the other side could not read the id of the message that it rejects.
  return { kind: 'error', id: id === null ? null : idOf(id), code, message, ...(data !== undefined && { data }) };
}

/** The body of a request. `params` must be an object: the server rejects arrays. */
export function formatRequest(id: RequestId, method: string, params: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params });
}

/** The body of a notification. */
export function formatNotification(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params });
}

/** The body of an answer; without a result it is `null`, because an answer must have one. */
export function formatAnswer(id: RequestId, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result: result ?? null });
}

/** The body of an answer that is an error; `data` is what a program may want to know of it. */
export function formatError(id: RequestId, code: number, message: string, data?: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, data } });
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) throw wrong('an empty body');
  if (!isUtf8(body)) throw wrong('a body that is not UTF-8');
  refuseDeep(body);
  const text = body.toString('utf8');
  try {
    // A key `__proto__`, which a session's name or a tool's argument may be, becomes an own property like any other. So what
    // comes from here may be copied key by key into a Map, but not into an object.
    return JSON.parse(text);
  } catch (error) {
    throw new ProtocolError(`expected a JSON-RPC message, found a body that is not JSON: ${quote(text)}`, {
      cause: error,
    });
  }
}

/** Bounds the nesting before anything recursive reads it; brackets in strings do not count. */
function refuseDeep(body: Buffer): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      if (depth > MAX_DEPTH) throw wrong(`JSON nested deeper than ${MAX_DEPTH} levels`);
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    }
  }
}

function idOf(id: unknown): RequestId {
  if (typeof id === 'number' && Number.isFinite(id)) return id;
  if (typeof id === 'string' && id.length <= MAX_ID_LENGTH) return id;
  throw wrong(`an "id" that is neither a number nor a string of at most ${MAX_ID_LENGTH} characters`);
}

function wrong(found: string): ProtocolError {
  return new ProtocolError(`expected a JSON-RPC message, found ${found}`);
}
