/** Finds the events by which a session has asked its clients something, which its server waits for although nobody here knows. */
import { isObject } from '../../../copilot/index.ts';
import { WAIT_TYPES } from './events.ts';
import { readJournalEnd, type DurableEvent } from './journal-end.ts';

/**
 * Calls `found` with the event of each of these questions, which may be among the last events, or else in the journal.
 * @throws RpcError, CopilotError
 */
export async function findQuestions(
  call: (method: string, params: object) => Promise<unknown>,
  sessionId: string,
  requestIds: ReadonlySet<string>,
  last: readonly DurableEvent[],
  found: (asked: DurableEvent, data: Readonly<Record<string, unknown>>) => void,
): Promise<void> {
  const missing = new Set(requestIds);
  const take = (asked: DurableEvent): boolean => {
    const { data } = asked.event;
    const requestId = isObject(data) ? data['requestId'] : undefined;
    if (WAIT_TYPES.includes(asked.type) && isObject(data) && missing.delete(requestId as string)) found(asked, data);
    return missing.size === 0;
  };
  if (missing.size > 0 && last.findLastIndex(take) < 0) await readJournalEnd(call, sessionId, take);
}
