/** What the frames of a server are: events, answers, or anything else; most of them are scanned and not parsed. */
import {
  formatError,
  isObject,
  parseMessage,
  scanAnswer,
  scanEvent,
  type EventHead,
  type Message,
} from '../../../copilot/index.ts';
import type { ServerAnswer } from '../model.ts';
import { answerOf } from './server-answer.ts';

/** A message that is not an answer. */
export type ServerMessage = Message & { readonly kind: 'request' | 'notification' };

/** Who takes them. The bytes are valid only during the call. */
export interface FrameTakers {
  readonly onEvent: (head: EventHead, body: Buffer) => void;
  readonly onMessage: (message: ServerMessage, body: Buffer) => void;
  readonly onAnswer: (id: number, answer: ServerAnswer) => void;
}

const INTERNAL_ERROR = -32603;

/** Takes the body of a frame. @throws ProtocolError if it is no message */
export function takeFrame(body: Buffer, takers: FrameTakers): void {
  const event = scanEvent(body);
  if (event !== undefined) return takers.onEvent(event, body);
  const head = scanAnswer(body);
  if (head !== undefined) return takers.onAnswer(head.id, { kind: 'Answer', body, head });
  const message = parseMessage(body);
  if (message.kind === 'request' || message.kind === 'notification') takeMessage(message, body, takers);
  else if (typeof message.id === 'number') takers.onAnswer(message.id, answerOf(body, message.id));
}

/** Takes the start of a frame that was skipped because it has `length` bytes. Who waits for it as an answer must not wait for ever. */
export function takeOversize(start: Buffer, length: number, allowed: number, { onAnswer }: FrameTakers): void {
  const id = scanAnswer(start)?.id;
  if (id === undefined) return;
  const message = `the answer has ${length} bytes, more than the ${allowed} allowed`;
  onAnswer(id, answerOf(Buffer.from(formatError(id, INTERNAL_ERROR, message)), id));
}

function takeMessage(message: ServerMessage, body: Buffer, { onEvent, onMessage }: FrameTakers): void {
  const { params } = message;
  const event = isObject(params) && isObject(params['event']) ? params['event'] : undefined;
  const isEvent = message.kind === 'notification' && message.method === 'session.event' && isObject(params);
  if (!isEvent) return onMessage(message, body);
  const [sessionId, type] = [params['sessionId'], event?.['type']];
  if (typeof sessionId === 'string' && typeof type === 'string') onEvent({ sessionId, type }, body);
}
