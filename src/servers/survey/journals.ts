/** Reading one session's journal into its record: activity and usage. */
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

/** Events that nearly always include the latest turn; some 50 KB. */
const TAIL = 50;
/** The most events that the server gives in a page; it ends one after about 1 MiB. */
const WHOLE_PAGE = 1000;
/** Calls for one journal, each a page: for its usage it is read back to 32 MiB or 32,000 events. */
const MAX_CALLS = 32;
/** How long a journal that can't be read is skipped, ms. */
const UNREADABLE_MS = 600_000;

/** What one journal is read with. */
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
 * A journal may be damaged, or its last event larger than any message that is accepted, which ends the connection. The failure
 * is recorded before it is thrown on, so that one bad journal can't keep the others from being read.
 */
export async function readInto(record: SessionRecord, context: ReadContext): Promise<number> {
  const { server, options, monotonic, watched } = context;
  const { sessionId, modifiedTime } = record.times;
  // Before anything can fail: if this journal ends the connection, the others are read first next time.
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
    // A server that closes the connection at the same journal again may do so because of it, and nothing is published before
    // each journal was read once.
    const isBadJournal =
      !(error instanceof UnreachableError) || (record.journal === undefined && record.connectionLosses > 1);
    if (isBadJournal) {
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
    // The last event alone still shows an unload if a line before it is damaged.
    return read(1);
  }
  if (journalState(tail.events).lastActivityTime !== undefined || !tail.hasMore) return tail;
  // The session was loaded and unloaded many times without a turn.
  const older = await read(WHOLE_PAGE, tail.cursor);
  return { ...older, events: [...older.events, ...tail.events] };
}

/** Updates the record's usage to the newest event. A usage that can't be summed up is unknown until the server writes a total. */
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
    // A lost connection shows nothing about the journal.
    if (error instanceof UnreachableError) throw error;
    enter(undefined);
    if (!(error instanceof RpcError)) throw connectionGivenUp(record.times.sessionId, error);
  }
}

/**
 * The connection is not used on after such an answer, or without an answer. The next poll skips this journal and so may follow
 * at once, as after a lost connection: hence the type.
 */
function connectionGivenUp(sessionId: string, error: unknown): UnreachableError {
  if (error instanceof UnreachableError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new UnreachableError(
    `the connection was closed, because reading the journal of session ${sessionId} failed: ${why}`,
    {
      cause: error,
    },
  );
}
