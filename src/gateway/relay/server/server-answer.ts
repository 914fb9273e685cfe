/** Answers of servers, and what stands in place of one. */
import {
  CopilotError,
  ProtocolError,
  RpcError,
  UnreachableError,
  formatError,
  isObject,
  messageOf,
  parseMessage,
  scanAnswer,
} from '../../../copilot/index.ts';
import { guardRefusal } from '../../../resources/guard-protocol.ts';
import { CoordinationUnavailableError } from '../../locks/store.ts';
import { ModelUnavailableError } from '../../model.ts';
import { HOST_GONE } from '../journal/facts.ts';
import { FencedError, NoPlaceError, NotRestoredError, type ServerAnswer } from '../model.ts';

/** How often a call is made again whose server was lost: one that brings its server down each time must not do so for ever. */
export const REPEATS = 3;

/** Nobody waits for the answer any more. */
export class ClientGoneError extends UnreachableError {
  constructor() {
    super('the client is gone');
  }
}

const NOT_FOUND = /Session not found/;
/** With which servers answer calls that fail. */
const INTERNAL_ERROR = -32603;
/**
 * What servers say to calls while they stop, about which their clients must not hear: another process will answer. The whole message: one
 * that quotes a client may have any words in it, and would cut the server off from the others.
 */
const STOPPING = new RegExp(
  [
    '^SERVER_SHUTTING_DOWN$',
    `^Request [\\w.]+ failed with message: ${HOST_GONE}$`,
    '^Request [\\w.]+ failed with message: Standalone managed telemetry preparation failed: SDK connection closed$',
    '^Request [\\w.]+ failed with message: SDK connection closed during registration$',
  ].join('|'),
);

/** There is no connection, or no answer. `sent` is whether the server may have got the request. */
export function lost(error: CopilotError, sent: boolean): ServerAnswer {
  return { kind: 'Lost', error, sent };
}

/** Whatever was thrown, as the error in place of an answer. */
export function asError(error: unknown): CopilotError {
  return error instanceof CopilotError ? error : new UnreachableError(messageOf(error), { cause: error });
}

/** What a request gets whose client is gone before it was sent. */
export function clientGone(): ServerAnswer {
  return lost(new ClientGoneError(), false);
}

/** What an answer takes in memory. */
export function bytesOf(answer: ServerAnswer): number {
  return answer.kind === 'Answer' ? answer.body.length : 0;
}

/** The answer with bytes that stay valid. */
export function copied(answer: ServerAnswer): ServerAnswer {
  return answer.kind === 'Answer' ? { ...answer, body: Buffer.from(answer.body) } : answer;
}

/** An answer in the form that is passed on, however the server wrote it. */
export function answerOf(body: Buffer, id: number): ServerAnswer {
  const { result, error } = JSON.parse(body.toString()) as { result?: unknown; error?: unknown };
  const formatted = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id, ...(error === undefined ? { result } : { error }) }),
  );
  const head = scanAnswer(formatted);
  if (head === undefined) throw new ProtocolError(`expected an answer, found one with the id ${id}`);
  return { kind: 'Answer', body: formatted, head };
}

/** The result in the frame of an answer. `server` begins the messages of errors. @throws RpcError, ProtocolError */
export function resultOf(server: string, method: string, body: Buffer): unknown {
  const message = parseMessage(body);
  if (message.kind === 'answer') return message.result;
  if (message.kind !== 'error') throw new ProtocolError(`${server}: the answer to ${method} is none`);
  throw new RpcError(`${server}: ${method} failed with error ${message.code}`, message.code, message.message);
}

/** The result in an answer. @throws RpcError, ProtocolError, or the error in place of an answer */
export function resultIn(server: string, method: string, answer: ServerAnswer): unknown {
  if (answer.kind === 'Lost') throw answer.error;
  if (answer.kind !== 'Answer') throw new NotRestoredError('why' in answer ? answer.why : answer.kind);
  return resultOf(server, method, answer.body);
}

/** Whether the server did what it was asked. */
export function isResult(answer: ServerAnswer): answer is ServerAnswer & { readonly kind: 'Answer' } {
  return answer.kind === 'Answer' && !answer.head.isError;
}

/** The fields of the result in the frame of an answer; none if it has no object as result. */
export function resultFields(body: Buffer): Readonly<Record<string, unknown>> {
  const message = parseMessage(body);
  return message.kind === 'answer' && isObject(message.result) ? message.result : {};
}

/** Whether the guard of a server refuses a call because the connection has no grant for its session, as after it was made anew. */
export function isUngranted(answer: ServerAnswer): boolean {
  if (answer.kind !== 'Answer' || !answer.head.isError) return false;
  const message = parseMessage(answer.body);
  return message.kind === 'error' && isNoGrant(message);
}

/** The answer that a server gives about a session which it does not know, where its guard has let the call not pass; any other one as it is. */
export function asUnknown(answer: ServerAnswer, sessionId: string): ServerAnswer {
  if (!isUngranted(answer)) return answer;
  return failed(`Session not found: ${sessionId}`);
}

/** What a server answers whoever wants to attach to a session that there is not. */
export function unknownSession(method: string, sessionId: string): ServerAnswer {
  return failed(`Request ${method} failed with message: Session not found: ${sessionId}`);
}

function failed(message: string): ServerAnswer {
  return answerOf(Buffer.from(formatError(1, INTERNAL_ERROR, message)), 1);
}

function isNoGrant(error: { readonly code: number; readonly data?: unknown }): boolean {
  const rule = guardRefusal(error)?.rule;
  return rule === 'NoGrant' || rule === 'StaleEpoch';
}

/** Whether the server says that it does not have the session in memory, or at all, or its guard that it is not granted. */
export function isUnloaded(answer: ServerAnswer): boolean {
  if (answer.kind !== 'Answer' || !answer.head.isError) return false;
  const message = parseMessage(answer.body);
  return message.kind === 'error' && (NOT_FOUND.test(message.message) || isNoGrant(message));
}

/** The same of an error. */
export function isNotFound(error: unknown): boolean {
  return error instanceof RpcError && NOT_FOUND.test(error.serverMessage);
}

/** Whether the server says that it stops, and has not done what it was asked, or not to the end. */
export function isStopping(answer: ServerAnswer): boolean {
  if (answer.kind !== 'Answer' || !answer.head.isError) return false;
  const message = parseMessage(answer.body);
  return message.kind === 'error' && STOPPING.test(message.message);
}

/** What calls fail with that begin to work on a session, or go on with it. */
const GIVEN_UP = /^Request session\.(?:create|resume|send|sendMessages) failed with message: /;

/** Whether a server may have refused such a call only because it stops: its parts fail one after the other, each with words of its own. */
export function mayBeStopping(answer: ServerAnswer): boolean {
  if (answer.kind !== 'Answer' || !answer.head.isError) return false;
  const message = parseMessage(answer.body);
  return message.kind === 'error' && GIVEN_UP.test(message.message) && !NOT_FOUND.test(message.message);
}

/** What a request gets for which the login of its tenant could not be read. */
export function modelFailure(error: unknown): ServerAnswer {
  if (!(error instanceof ModelUnavailableError)) throw error;
  return { kind: 'NoModel', why: error.message };
}

/** What a request gets whose session could not be loaded; undefined: it is sent, because the server says best why not. */
export function loadFailure(error: unknown): ServerAnswer | undefined {
  if (error instanceof RpcError) return undefined;
  if (error instanceof ModelUnavailableError) return modelFailure(error);
  if (error instanceof NotRestoredError) return { kind: 'NotRestored', why: error.message };
  if (error instanceof NoPlaceError) return { kind: 'NoPlace', max: error.max };
  if (error instanceof FencedError) return { kind: 'Fenced', why: error.message };
  if (error instanceof CoordinationUnavailableError) return { kind: 'CoordinationAway', why: error.forClients };
  return lost(error as CopilotError, false);
}
