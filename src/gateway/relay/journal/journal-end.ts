/** Reads the end of a session's journal, from its last event back to one that is known. */
import { ProtocolError, formatNotification, isObject } from '../../../copilot/index.ts';
import { saysStop } from './facts.ts';

/** A durable event, as the server tells it. */
export interface DurableEvent {
  readonly id: string;
  readonly type: string;
  /** The whole event. */
  readonly event: Readonly<Record<string, unknown>>;
}

/** The body of the frame by which clients are told of it. */
export function notificationOf(sessionId: string, { event }: DurableEvent): Buffer {
  return Buffer.from(formatNotification('session.event', { sessionId, event }));
}

/** The last events of a journal, oldest first, but for what a server wrote because it stopped. */
export interface JournalEnd {
  readonly events: readonly DurableEvent[];
  /** The event before them; undefined: they begin with the journal, or further back than is read. */
  readonly known: DurableEvent | undefined;
}

/** Of one page. Usually the known event is among the first few. */
const PAGE = 50;
/** Pages that are read at most: no turn is longer, and what is further back is in the history. */
const PAGES = 100;

/**
 * The events after the last one that `isKnown`. The session must be loaded.
 * @throws RpcError, CopilotError
 */
export async function readJournalEnd(
  call: (method: string, params: object) => Promise<unknown>,
  sessionId: string,
  isKnown: (event: DurableEvent) => boolean,
): Promise<JournalEnd> {
  const method = 'session.eventLog.read';
  const pages: DurableEvent[][] = [];
  const soFar = () => withoutStop(pages.toReversed().flat());
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page += 1) {
    const params = { sessionId, direction: 'backward', max: PAGE, ...(cursor !== undefined && { cursor }) };
    const answer = await call(method, params);
    if (!isObject(answer) || !Array.isArray(answer['events']))
      throw new ProtocolError(`the answer to ${method} is none`);
    const events = answer['events'].flatMap((event: unknown) => durableEvent(event) ?? []);
    const at = events.findLastIndex(isKnown);
    pages.push(events.slice(at + 1));
    if (at >= 0) return { events: soFar(), known: events[at] };
    if (answer['hasMore'] !== true || typeof answer['cursor'] !== 'string') break;
    cursor = answer['cursor'];
  }
  return { events: soFar(), known: undefined };
}

/** The events with which a process begins to work on a session that another one has left. */
const BEGINS = new Set(['user.message', 'assistant.turn_start', 'session.resume']);

/**
 * Without the errors that end turns behind a `session.shutdown`: a server that stops writes that it leaves the session, and then takes apart what its
 * turns run on. Nobody has failed: the turn goes on at the next server.
 */
export function withoutStop(events: readonly DurableEvent[]): DurableEvent[] {
  let isLeft = false;
  return events.filter(({ type, event }) => {
    if (type === 'session.shutdown') isLeft = true;
    else if (BEGINS.has(type)) isLeft = false;
    return type !== 'session.error' || !(isLeft || saysStop(type, event));
  });
}

/** Undefined for what is none: the agent can write to its own journal. */
function durableEvent(event: unknown): DurableEvent | undefined {
  if (!isObject(event) || typeof event['id'] !== 'string' || typeof event['type'] !== 'string') return undefined;
  return event['ephemeral'] === true ? undefined : { id: event['id'], type: event['type'], event };
}
