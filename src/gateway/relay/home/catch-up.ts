/** What a client gets that attaches while a turn runs: the durable events of the turn, once and in order, before those that follow. */
import { isOfProcess, WAIT_TYPES } from '../journal/events.ts';
import { notificationOf, readJournalEnd, type DurableEvent } from '../journal/journal-end.ts';
import type { SessionClient } from '../model.ts';
import type { SessionCalls } from './session-calls.ts';
import type { Session } from '../session/session.ts';

/**
 * Reads the events from the server, so that none are kept in memory for a client that may never come. Must be called when the client has
 * got the answer to its attach. A turn of which the beginning is not found is not told.
 */
export async function catchUp(session: Session, client: SessionClient, calls: SessionCalls): Promise<void> {
  const { delivery, aliases, turn } = session;
  const { start } = turn;
  let told: readonly DurableEvent[] = [];
  const call = (method: string, params: object) => calls.call(session, method, params);
  try {
    const { known, events } = await readJournalEnd(call, session.id, ({ id }) => id === start);
    if (known !== undefined) told = [known, ...events].filter(isTold);
  } catch (error) {
    calls.failed('session.eventLog.read', error);
  }
  // It may have left meanwhile, or got too much to be brought up to date.
  if (!delivery.isBehind(client)) return;
  for (const event of told) client.deliver(aliases.applied(notificationOf(session.id, event)), event.type);
  delivery.told(
    client,
    told.map(({ id }) => id),
  );
  // It has begun a turn of its own since, and would take the end of this one for that of its own.
  const hasSent = turn.isOf(client) || turn.holds(client);
  delivery.release(client, ({ type }) => hasSent && type === 'session.idle');
}

/** Whether a client is told of an event that it has missed: what is to be answered is offered by itself, as long as it is open. */
export function isTold({ type }: DurableEvent): boolean {
  return !isOfProcess(type) && !WAIT_TYPES.includes(type);
}
