/** The errors of this part, and what each means for a server's health. */
/**
 * Why a server is not healthy:
 * - `Unreachable`: there is no TCP connection, or it was closed before an answer arrived.
 * - `AuthFailed`: the server refused the connection token; a restart does not help.
 * - `Timeout`: the server accepted the connection and did not answer in time.
 * - `ProtocolError`: what it sent is not the CLI server's protocol (another program listens there, or an unknown version).
 */
export type UnhealthyReason = 'Unreachable' | 'AuthFailed' | 'Timeout' | 'ProtocolError';

/**
 * Base of all errors of this part. `reason` is what the error means for the server's health; callers decide by it and not
 * by the message. Messages start with the peer's address and never hold the connection token.
 */
export abstract class CopilotError extends Error {
  abstract readonly reason: UnhealthyReason;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No connection: refused, unresolved, lost, closed by this side, or the server is shutting down. */
export class UnreachableError extends CopilotError {
  readonly reason = 'Unreachable';
}

/** The server refused the connection token (JSON-RPC -32001 or -32002). */
export class AuthFailedError extends CopilotError {
  readonly reason = 'AuthFailed';
}

/** There was a TCP connection, but no answer within the caller's deadline. */
export class TimeoutError extends CopilotError {
  readonly reason = 'Timeout';
}

/** The peer sent something that is not the protocol. If it was no message at all, the connection is closed, for its framing is lost. */
export class ProtocolError extends CopilotError {
  readonly reason = 'ProtocolError';
}

/** The server understood the request and answered it with an error. The connection stays open. */
export class RpcError extends CopilotError {
  readonly reason = 'ProtocolError';
  /** JSON-RPC error code, such as -32601 for a method that this version of the server lacks. */
  readonly code: number;
  readonly #serverMessage: string;
  readonly #data: unknown;

  constructor(
    message: string,
    code: number,
    serverMessage: string,
    options?: ErrorOptions & { readonly data?: unknown },
  ) {
    super(message, options);
    this.code = code;
    this.#serverMessage = serverMessage;
    this.#data = options?.data;
  }

  /** What the other side said of it beside the text. No own property either. */
  get data(): unknown {
    return this.#data;
  }

  /** The server's own text, to distinguish its errors, because most have the same code. It is not an own property, so no log shows it. */
  get serverMessage(): string {
    return this.#serverMessage;
  }

  /** Whether this version of the server lacks the method. */
  get isMethodNotFound(): boolean {
    return this.code === METHOD_NOT_FOUND;
  }
}

/** The server answered that it did not do what was requested. The connection stays open. */
export class RefusedError extends CopilotError {
  readonly reason = 'ProtocolError';
}

/** The code of an answer to a method that the server lacks. */
export const METHOD_NOT_FOUND = -32601;
const AUTHENTICATION_REQUIRED = -32001;
const AUTHENTICATION_FAILED = -32002;
const LONGEST_QUOTE = 80;
const LONGEST_MESSAGE = 1000;

/** The error that a server's answer to `method` stands for. `message` is the server's own text. */
export function errorOfAnswer(
  address: string,
  method: string,
  code: number,
  message: string,
  data?: unknown,
): CopilotError {
  if (code === AUTHENTICATION_REQUIRED || code === AUTHENTICATION_FAILED) {
    return new AuthFailedError(
      `${address}: the server refused the connection token (${code} ${quote(message)}): ` +
        'it must be the value of COPILOT_CONNECTION_TOKEN that the server was started with',
    );
  }
  // After runtime.shutdown a server may run on for ever and answer only this, with the catch-all code -32000.
  if (message === 'SERVER_SHUTTING_DOWN') {
    return new UnreachableError(`${address}: the server is shutting down and accepts no more connections`);
  }
  return rpcError(address, method, code, message, data);
}

/** The error for an answer that is one. `message` is the other side's own text. */
export function rpcError(address: string, method: string, code: number, message: string, data?: unknown): RpcError {
  // The CLI puts this before its text, where it would leave no room in the quote for what matters.
  const serverMessage = message.replace(`Request ${method} failed with message: `, '').slice(0, LONGEST_MESSAGE);
  const text = `${address}: ${method} failed with error ${code} ${quote(serverMessage)}`;
  return new RpcError(text, code, serverMessage, { data });
}

/** The start of what a peer sent, safe to show in one line: no control characters, at most 80 characters. */
export function quote(found: string | Uint8Array): string {
  const text = typeof found === 'string' ? found : Buffer.from(found.subarray(0, LONGEST_QUOTE + 1)).toString('latin1');
  return JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}...` : text).replace(
    /[\u007f-\u{10ffff}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** What {@link quote} has written: a JSON string. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;
/** What messages of this part quote themselves. */
const OWN = new Set(['jsonrpc', '2.0', 'id', 'method', 'result', 'error', 'connect'].map((text) => `"${text}"`));

/** The message of whatever was thrown, without what a peer has sent: for who may not read what passes. */
export function unquotedMessageOf(error: unknown): string {
  // The messages of these two are this side's own, including what they quote.
  if (error instanceof UnreachableError || error instanceof TimeoutError) return error.message;
  return messageOf(error).replace(QUOTED, (quoted) => (OWN.has(quoted) ? quoted : '"..."'));
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
