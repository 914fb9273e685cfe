/** What the durable events of a session say about the course of its turns: all that decides how a turn goes on after its server was lost. */
import { createHash } from 'node:crypto';
import { isObject } from '../../../copilot/index.ts';
import { isServerId } from '../model.ts';

/**
 * `Prompt`: the server has begun with a prompt. `Work`: it has called the model or tools for it. `Answer`: the model has answered and calls no
 * tool. `End`: the turn was aborted, or has failed.
 */
export type Fact =
  | { readonly kind: 'Prompt'; readonly messageId: string; readonly content: string }
  | { readonly kind: 'Work' | 'Answer' | 'End' };

/** The types that are facts by themselves. */
const BY_TYPE: Readonly<Record<string, Fact>> = {
  abort: { kind: 'End' },
  'tool.execution_start': { kind: 'Work' },
  'tool.execution_complete': { kind: 'Work' },
};
/** The types that have to be read for it. */
const READ = new Set(['user.message', 'assistant.message', 'session.error']);
/** What a server that stops says of itself, as a part of a regular expression. */
export const HOST_GONE = String.raw`session event host (?:was disconnected|disconnected before acknowledging the [\w.]+ event)`;
/** What it says of a turn that it cuts. Nobody has failed: the turn goes on at the next server. */
const STOPPED = new RegExp(`^Execution failed: ${HOST_GONE}$`);

/** Whether an event of this type has to be read for {@link factOf}. */
export function isRead(type: string): boolean {
  return READ.has(type);
}

/** The fact in an event; undefined: there is none, or it is one of a sub-agent, whose turns are a part of its session's. */
export function factOf(type: string, event: unknown): Fact | undefined {
  if (type === 'session.error') return saysStop(type, event) ? undefined : { kind: 'End' };
  if (!READ.has(type)) return Object.hasOwn(BY_TYPE, type) ? BY_TYPE[type] : undefined;
  if (!isObject(event) || !isObject(event['data']) || event['agentId'] !== undefined) return undefined;
  const { messageId, content, toolRequests, parentToolCallId } = event['data'];
  if (parentToolCallId !== undefined) return undefined;
  if (type === 'assistant.message') {
    return { kind: Array.isArray(toolRequests) && toolRequests.length > 0 ? 'Work' : 'Answer' };
  }
  return isServerId(messageId) ? { kind: 'Prompt', messageId, content: digestOf(content) } : undefined;
}

/** Whether an event ends a turn only because its server stops. Its clients must not hear of it. */
export function saysStop(type: string, event: unknown): boolean {
  const data = type === 'session.error' && isObject(event) ? event['data'] : undefined;
  return isObject(data) && STOPPED.test(String(data['message']));
}

/**
 * Whether an event may end a turn only because its server stops: it has no answer of a model endpoint, as a turn has that fails otherwise. That is certain
 * when the server is lost a moment later.
 */
export function maySayStop(type: string, event: unknown): boolean {
  const data = type === 'session.error' && isObject(event) ? event['data'] : undefined;
  return isObject(data) && data['statusCode'] === undefined;
}

/** What prompts are compared by, so that none is kept a second time. */
export function digestOf(content: unknown): string {
  return createHash('sha256')
    .update(typeof content === 'string' ? content : '')
    .digest('base64');
}
