import {
  EMPTY_SUM,
  RpcError,
  UnreachableError,
  journalState,
  readJournal,
  sumUsage,
  type CallOptions,
  type JournalPage,
  type Requester,
} from '../../copilot/index.ts';
import type { SessionRecord } from './session-cache.ts';

/** Enough events to find the latest turn in nearly always, and some 50 KB. */
const TAIL = 50;
/** As many as the server gives; it ends a page after about 1 MiB. */
const WHOLE_PAGE = 1000;
/** Calls for one journal, each a page: in search of its usage it is read back to 32 MiB or 32,000 events. */
const MAX_CALLS = 32;
/** How long a journal that can't be read is left alone, ms. */
const UNREADABLE_MS = 600_000;

/** How a reading is done. */
export interface ReadContext {
  readonly server: Requester;
  readonly options: CallOptions;
  /** Now, monotonic ms. */
  readonly monotonic: number;
  /** Whether usage is wanted. */
  readonly watched: boolean;
}

type ReadPage = (max: number, cursor?: string) => Promise<JournalPage>;

/**
 * Reads the end of a session's journal into its record, and as far back as its usage needs. Resolves to the number of
 * calls, at most {@link MAX_CALLS}.
 *
 * A journal may be damaged, or its last event bigger than any message that we take; the latter costs the connection. What
 * went wrong is entered before the error goes on, so that one bad journal can't keep the others from being read.
 */
export async function readInto(record: SessionRecord, context: ReadContext): Promise<number> {
  const { server, options, monotonic, watched } = context;
  const { sessionId, modifiedTime } = record.times;
  // Before anything can fail: whatever a journal does to the connection, the others come first next time.
  record.readTriedAt = monotonic;
  let calls = 0;
  const read: ReadPage = (max, cursor) => {
    calls += 1;
    return readJournal(server, { sessionId, max, cursor }, options);
  };

  let tail: JournalPage;
  try {
    tail = await readTail(read);
  } catch (error) {
    if (error instanceof UnreachableError) record.connectionLosses += 1;
    // A server that goes away at the same journal again may do so because of it, and nothing is told of the others before.
    const isToBlame =
      !(error instanceof UnreachableError) || (record.journal === undefined && record.connectionLosses > 1);
    if (isToBlame) {
      Object.assign(record, { journal: journalState([]), unreadableUntil: monotonic + UNREADABLE_MS });
    }
    if (error instanceof RpcError) return calls;
    throw connectionGivenUp(sessionId, error);
  }
  const state = journalState(tail.events);
  const lastActivityTime = state.lastActivityTime ?? record.journal?.lastActivityTime;
  if (record.readAt === modifiedTime) record.readAgainAt = modifiedTime;
  Object.assign(record, { journal: { ...state, lastActivityTime }, readAt: modifiedTime, unreadableUntil: undefined });
  if (watched) await updateUsage(record, tail, (cursor) => (calls < MAX_CALLS ? read(WHOLE_PAGE, cursor) : undefined));
  return calls;
}

/** The newest events, a turn among them if there is one not far back. */
async function readTail(read: ReadPage): Promise<JournalPage> {
  let tail: JournalPage;
  try {
    tail = await read(TAIL);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    // The last event alone still tells of an unload when a line before it is damaged.
    return read(1);
  }
  if (journalState(tail.events).lastActivityTime !== undefined || !tail.hasMore) return tail;
  // Somebody loads the session often and says nothing to it.
  const older = await read(WHOLE_PAGE, tail.cursor);
  return { ...older, events: [...older.events, ...tail.events] };
}

/** Brings the record's usage up to the newest event. What can't be reckoned is unknown, until the server writes its own total. */
async function updateUsage(
  record: SessionRecord,
  tail: JournalPage,
  older: (cursor: string) => Promise<JournalPage> | undefined,
): Promise<void> {
  const { modifiedTime } = record.times;
  const eventId = tail.events.at(-1)?.id ?? '';
  const mark = record.usage;
  const enter = (usage: typeof EMPTY_SUM.usage): unknown =>
    Object.assign(record, { usage: { eventId, usage }, usageAt: modifiedTime });
  try {
    let page: JournalPage | undefined = tail;
    let sum = EMPTY_SUM;
    while (page !== undefined) {
      sum = sumUsage(sum, page, mark);
      page = sum.done ? undefined : await older(page.cursor);
    }
    enter(sum.done ? sum.usage : undefined);
  } catch (error) {
    // A server that went away says nothing of the journal.
    if (error instanceof UnreachableError) throw error;
    enter(undefined);
    if (!(error instanceof RpcError)) throw connectionGivenUp(record.times.sessionId, error);
  }
}

/**
 * The connection can't go on after such an answer, or without any. But the next one will pass this journal over, and so
 * may follow at once, as after a connection that was lost.
 */
function connectionGivenUp(sessionId: string, error: unknown): UnreachableError {
  if (error instanceof UnreachableError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new UnreachableError(`the connection was given up at the journal of session ${sessionId}: ${why}`, {
    cause: error,
  });
}
