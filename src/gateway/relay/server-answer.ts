/** Answers of servers, and what stands in place of one. */
import { ProtocolError, RpcError, isObject, parseMessage, scanAnswer, type CopilotError } from '../../copilot/index.ts';
import { ModelUnavailableError } from '../model.ts';
import { NotRestoredError, type ServerAnswer } from './model.ts';

const NOT_FOUND = /Session not found/;

/** There is no connection, or no answer. `sent` is whether the server may have got the request. */
export function lost(error: CopilotError, sent: boolean): ServerAnswer {
  return { kind: 'Lost', error, sent };
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

/** Whether the server did what it was asked. */
export function isResult(answer: ServerAnswer): answer is ServerAnswer & { readonly kind: 'Answer' } {
  return answer.kind === 'Answer' && !answer.head.isError;
}

/** The fields of the result in the frame of an answer; none if it has no object as result. */
export function resultFields(body: Buffer): Readonly<Record<string, unknown>> {
  const message = parseMessage(body);
  return message.kind === 'answer' && isObject(message.result) ? message.result : {};
}

/** Whether the server says that it does not have the session in memory, or at all. */
export function isUnloaded(answer: ServerAnswer): boolean {
  if (answer.kind !== 'Answer' || !answer.head.isError) return false;
  const message = parseMessage(answer.body);
  return message.kind === 'error' && NOT_FOUND.test(message.message);
}

/** The same of an error. */
export function isNotFound(error: unknown): boolean {
  return error instanceof RpcError && NOT_FOUND.test(error.serverMessage);
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
  return lost(error as CopilotError, false);
}
