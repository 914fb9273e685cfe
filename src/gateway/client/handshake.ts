/**
 * What a client gets before it is admitted, and from `connect`: the same as from a server whose token it does not have, or has. The texts
 * are those of the CLI 1.0.102, and a test compares them with its answers.
 */
import {
  formatAnswer,
  formatError,
  isObject,
  messageOf,
  parseMessage,
  type Message,
  type RequestId,
} from '../../copilot/index.ts';
import { PROTOCOL_VERSION, SERVER_VERSION, pong } from '../pong.ts';
import { UNAVAILABLE } from '../relay/refusals.ts';
import type { RateExcess } from './rates.ts';

/** A request of a client that is not admitted. */
export type Greeting =
  | { readonly kind: 'Connect'; readonly request: ConnectRequest }
  | { readonly kind: 'Answer'; readonly body: string }
  /** A notification, or an answer to nothing. */
  | { readonly kind: 'Nothing' };

/** A `connect`. */
export interface ConnectRequest {
  readonly id: RequestId;
  /** What it presents as token, unchecked. */
  readonly token: unknown;
  /** What is wrong with its other parameters, in the words of the server. */
  readonly problem: string | undefined;
  /** What the application says that it is: names and versions, cut and in plain characters; undefined: nothing. */
  readonly application: string | undefined;
  /** Whether it can run tasks of kind `client`. */
  readonly runsClientTasks: boolean;
}

const NO_ROOM_RETRY_MS = 5_000;
const INVALID_REQUEST = -32600;
const PARSE_ERROR = -32700;
const INVALID_PARAMS = -32602;
const AUTHENTICATION_REQUIRED = -32001;
const AUTHENTICATION_FAILED = -32002;

/** Calls that answer what a server has asked, and calls that end something. */
const NEVER_REFUSED = new RegExp(
  [
    '^ping$',
    String.raw`^session\.(?:\w+\.)+handlePending\w+$`,
    String.raw`^session\.(?:commands\.respondToQueuedCommand|mcp\.oauth\.respond)$`,
    String.raw`^sessions?\.(?:abort|close|delete|destroy|detach|interruptMainTurn|cancelAllBackgroundAgents)$`,
    String.raw`^session\.(?:tasks\.cancel|workflow\.cancel|shell\.kill|shell\.cancelUserRequested|queue\.clear)$`,
  ].join('|'),
);

const TASK_KINDS = ['agent', 'shell', 'client'];
const CONNECT_FIELDS = ['enableGitHubTelemetryForwarding', 'clientInfo', 'supportedTaskKinds'];
/** Looked for in the start of each frame, so that the others need not be parsed. All clients write the method before the parameters. */
const CONNECT = '"connect"';
const START_BYTES = 512;

/** Reads a frame of a client that is not admitted. `now`: ms since the epoch. */
export function readGreeting(body: Buffer, now: number): Greeting {
  let message: Message;
  try {
    message = parseMessage(body);
  } catch (error) {
    return { kind: 'Answer', body: notUnderstood(error) };
  }
  if (message.kind !== 'request') return { kind: 'Nothing' };
  const { id, method, params } = message;
  if (method === 'connect') return { kind: 'Connect', request: connectRequest(id, params) };
  const answer =
    method === 'ping' ? pong(id, params, now) : formatError(id, AUTHENTICATION_REQUIRED, 'AUTHENTICATION_REQUIRED');
  return { kind: 'Answer', body: answer };
}

/** The `connect` in a frame of an admitted client; undefined for every other frame. */
export function readConnect(body: Buffer): ConnectRequest | undefined {
  if (!body.toString('latin1', 0, START_BYTES).includes(CONNECT)) return undefined;
  let message: Message;
  try {
    message = parseMessage(body);
  } catch {
    // Whoever takes the frame parses it again, and says what is wrong.
    return undefined;
  }
  if (message.kind !== 'request' || message.method !== 'connect') return undefined;
  return connectRequest(message.id, message.params);
}

/** The answer to a `connect` with a good token. */
export function connected({ id, problem, runsClientTasks }: ConnectRequest): string {
  if (problem !== undefined) return formatError(id, INVALID_PARAMS, `Invalid connect request: ${problem}`);
  return formatAnswer(id, {
    ok: true,
    protocolVersion: PROTOCOL_VERSION,
    version: SERVER_VERSION,
    taskKinds: TASK_KINDS.filter((kind) => kind !== 'client' || runsClientTasks),
  });
}

/** The answer to a `connect` with any other token. */
export function authenticationFailed({ id }: ConnectRequest): string {
  return formatError(id, AUTHENTICATION_FAILED, 'AUTHENTICATION_FAILED');
}

/** The answer to a `connect` that cannot be decided now. */
export function cannotDecide({ id }: ConnectRequest, why: string, retryAfterMs: number): string {
  return formatError(id, UNAVAILABLE, `${why}; try again`, { retryable: true, retryAfterMs });
}

/** The answer to a `connect`, or any other request, that comes faster than is allowed. */
export function tooFast(id: RequestId, { message, field, limit, retryAfterMs }: RateExcess): string {
  const data = { retryable: true, retryAfterMs, outcome: 'NotSent', rule: 'RateLimit', field, limit };
  return formatError(id, UNAVAILABLE, message, data);
}

/** What becomes of a frame that comes too fast: the request of this id is refused, it is taken all the same, or it is of no use to anybody. */
export type TooFast = { readonly refused: RequestId } | 'Taken' | 'Ignored';

/**
 * What a server waits for, and what ends something, is never refused: a turn would wait for its answer without an end, and who has too much
 * must be able to have less.
 */
export function whenTooFast(body: Buffer): TooFast {
  let message: Message;
  try {
    message = parseMessage(body);
  } catch {
    // Whoever takes the frame parses it again, and says what is wrong.
    return 'Taken';
  }
  if (message.kind === 'notification') return 'Ignored';
  return message.kind !== 'request' || NEVER_REFUSED.test(message.method) ? 'Taken' : { refused: message.id };
}

/** The answer to a request that is larger than is allowed, or the answer that the relay gets in place of an answer that is. */
export function tooLarge(id: RequestId, bytes: number, allowed: number): string {
  return formatError(id, INVALID_REQUEST, `a message of ${bytes} bytes is larger than the ${allowed} bytes allowed`);
}

/** The same for one that was given up, so that others have the memory. */
export function noRoomFor(id: RequestId, bytes: number): string {
  const message = `there is no room now for a message of ${bytes} bytes that arrives so slowly; try again`;
  return formatError(id, UNAVAILABLE, message, { retryable: true, retryAfterMs: NO_ROOM_RETRY_MS, outcome: 'NotSent' });
}

/** What is sent before a connection is closed whose framing is lost. */
export function framingLost(error: unknown): string {
  return withoutId(PARSE_ERROR, messageOf(error));
}

function notUnderstood(error: unknown): string {
  const { cause } = error as Error;
  if (cause instanceof SyntaxError) return withoutId(PARSE_ERROR, messageOf(error));
  return withoutId(INVALID_REQUEST, 'not a recognizable JSON-RPC request, notification, or response');
}

function withoutId(code: number, message: string): string {
  return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message } });
}

function connectRequest(id: RequestId, params: unknown): ConnectRequest {
  const { token, ...others } = objectOf(params);
  const kinds = Array.isArray(others['supportedTaskKinds']) ? (others['supportedTaskKinds'] as unknown[]) : [];
  return {
    id,
    token,
    problem: problemOf(others, kinds),
    application: applicationOf(others['clientInfo']),
    runsClientTasks: kinds.includes('client'),
  };
}

/** As SDKs put it: of the application, then of an integration in it. */
const INFO_FIELDS = ['editorName', 'editorVersion', 'extensionName', 'extensionVersion'];
const LONGEST_FIELD = 64;

function applicationOf(clientInfo: unknown): string | undefined {
  const info = objectOf(clientInfo);
  const said = INFO_FIELDS.map((field) => info[field])
    .filter((value) => typeof value === 'string')
    .map((value) => value.slice(0, LONGEST_FIELD).replace(/[^\x21-\x7e]/g, '?'))
    .filter((value) => value !== '');
  return said.length === 0 ? undefined : said.join(' ');
}

function problemOf(fields: Readonly<Record<string, unknown>>, kinds: readonly unknown[]): string | undefined {
  const quoted = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
  const field = Object.keys(fields).find((name) => !CONNECT_FIELDS.includes(name));
  if (field !== undefined) return `unknown field \`${short(field)}\`, expected one of ${quoted(CONNECT_FIELDS)}`;
  const kind = kinds.find((each) => typeof each !== 'string' || !TASK_KINDS.includes(each));
  if (kind !== undefined) {
    const found = typeof kind === 'string' ? kind : JSON.stringify(kind);
    return `unknown variant \`${short(found)}\`, expected one of ${quoted(TASK_KINDS)}`;
  }
  return undefined;
}

function short(text: string): string {
  return text.slice(0, 80);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}
