/**
 * Tools of clients whose answer was lost between two lines of the journal: `external_tool.completed` is there, the `tool.execution_complete` with the result
 * is not. A server that is to go on with what was pending when it loads such a session says for ever that it works, asks nobody, and begins no prompt
 * (measured on both programs, docs/protocol.md). One that is not to go on with it tells the model that the tool was interrupted.
 */
import { isObject } from '../../../copilot/index.ts';
import { readJournalEnd, type DurableEvent } from '../journal/journal-end.ts';
import { openQuestions, type Recovering } from './recover-turn.ts';

/** Whether a tool was answered and its result is missing, in the events of a journal. */
export function lacksResult(events: readonly DurableEvent[]): boolean {
  const answered = new Set<unknown>();
  const finished = new Set<unknown>();
  const callOf = new Map<unknown, unknown>();
  for (const { type, event } of events) {
    const data = isObject(event['data']) ? event['data'] : {};
    if (type === 'external_tool.requested') callOf.set(data['requestId'], data['toolCallId']);
    else if (type === 'external_tool.completed') answered.add(data['requestId']);
    else if (type === 'tool.execution_complete') finished.add(data['toolCallId']);
  }
  return [...callOf].some(([request, call]) => answered.has(request) && !finished.has(call));
}

/**
 * Whether a server that says that it works on the session does so although nothing will ever come of it.
 * @throws RpcError, CopilotError
 */
export async function waitsForNothing(call: Recovering['call'], sessionId: string): Promise<boolean> {
  if ((await openQuestions(call, sessionId)).size > 0) return false;
  // All of it: one of an earlier turn does the same, and the result that says so may have been lost as well.
  const { events } = await readJournalEnd(call, sessionId, () => false);
  return lacksResult(events);
}
