/** One poll of a server. */
import {
  METHOD_NOT_FOUND,
  RpcError,
  getClientMetadata,
  getSessionSizes,
  listSessions,
  type CallOptions,
  type Requester,
} from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { SessionCache } from './session-cache.ts';
import { readInto } from './journals.ts';
import type { Limitation } from './sessions.ts';

/** What one poll is made with. */
export interface PollContext {
  readonly server: Requester & { lacks(method: string): boolean };
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  /** The keys of the operator's own labels. */
  readonly labelKeys: readonly string[];
  readonly options: CallOptions;
  /** Ids of sessions that were deleted since the poll started: the server may have listed them before. */
  readonly deleted: ReadonlySet<string>;
}

/** How a poll ended. */
export interface PollResult {
  /** When the server answered with its list, wall-clock ms. */
  readonly at: number;
  /** Whether journals are left for the next poll. */
  readonly more: boolean;
  /** What the server could not do. */
  readonly limitations: readonly Limitation[];
}

/** Calls for journals in one poll after which no other journal is started. */
const JOURNAL_CALLS = 64;
/** Time after which no other journal is started, ms: a server may take seconds for a damaged one. */
const JOURNALS_MS = 10_000;

/**
 * Reads a server's sessions into `cache`.
 *
 * The bound on calls: without changes one, `sessions.list`, and `sessions.getSizes` after a hint and in every other poll. After a
 * change both, at most 95 for journals (a journal that is started after 63 calls may take 32) and one for the labels of each
 * thousand watched sessions. A journal is read when it has changed, and once more while a turn runs: no poll makes a call for
 * each session, even if all their turns hang. None of the calls loads a session or resets its idle clock.
 *
 * A server that answers `sessions.list` and another of the methods with an error is polled for what it can answer.
 */
export async function poll(cache: SessionCache, context: PollContext): Promise<PollResult> {
  const { server, clock, options, deleted } = context;
  const listed = await listSessions(server, options);
  const at = clock.now();
  cache.updateList(listed.filter(({ sessionId }) => !deleted.has(sessionId)));
  const limitations: Limitation[] = [];
  const attempt = async (method: string, read: () => Promise<void>): Promise<void> => {
    if (server.lacks(method)) {
      limitations.push({ method, code: METHOD_NOT_FOUND });
      return;
    }
    try {
      await read();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      limitations.push({ method, code: error.code });
    }
  };
  await attempt('sessions.getSizes', async () => {
    if (cache.sizesDue) cache.updateSizes(await getSessionSizes(server, options));
  });
  const more = await readJournals(cache, context);
  if (server.lacks(READ_JOURNAL)) limitations.push({ method: READ_JOURNAL, code: METHOD_NOT_FOUND });
  await attempt('sessions.getClientMetadata', () => readLabels(cache, context));
  return { at, more, limitations };
}

const READ_JOURNAL = 'sessions.readPersistedEvents';

async function readJournals(cache: SessionCache, { server, clock, options }: PollContext): Promise<boolean> {
  const started = clock.monotonic();
  let calls = 0;
  for (const record of server.lacks(READ_JOURNAL) ? [] : cache.journalsDue(started)) {
    const monotonic = clock.monotonic();
    if (calls >= JOURNAL_CALLS || monotonic - started > JOURNALS_MS) return true;
    const watched = cache.isWatched(record.times.sessionId);
    calls += await readInto(record, { server, options, monotonic, watched });
    // The others would only fail in the same way.
    if (server.lacks(READ_JOURNAL)) break;
  }
  if (server.lacks(READ_JOURNAL)) cache.skipJournals();
  return false;
}

async function readLabels(cache: SessionCache, { server, options, labelKeys }: PollContext): Promise<void> {
  const ids = cache.takeLabelsDue();
  try {
    cache.updateLabels(ids, await getClientMetadata(server, ids, labelKeys, options));
  } catch (error) {
    cache.invalidateLabels();
    throw error;
  }
}
