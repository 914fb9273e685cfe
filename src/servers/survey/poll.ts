import {
  getClientMetadata,
  getSessionSizes,
  listSessions,
  type CallOptions,
  type Requester,
} from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { SessionCache } from './session-cache.ts';
import { readInto } from './journals.ts';

/** How one poll asks. */
export interface PollContext {
  readonly server: Requester;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  /** The keys of the operator's own labels. */
  readonly labelKeys: readonly string[];
  readonly options: CallOptions;
  /** Ids of sessions that were deleted since the poll began: the server may have listed them before. */
  readonly deleted: ReadonlySet<string>;
}

/** How a poll ended. */
export interface Polled {
  /** When the server answered with its list, wall-clock ms. */
  readonly at: number;
  /** Whether journals are left for the next poll. */
  readonly more: boolean;
}

/** Calls for journals in one poll after which no other session is begun. */
const JOURNAL_CALLS = 64;
/** Time after which no other session is begun, ms: a server may take seconds for a damaged journal. */
const JOURNALS_MS = 10_000;

/**
 * Asks a server for its sessions and enters what it answers in `cache`.
 *
 * The bound: with nothing changed it is one call, `sessions.list`, and `sessions.getSizes` after a hint and with every other poll.
 * After a change it is both, at most 95 for journals (one that is begun after 63 may take 32) and one for the labels of each
 * thousand watched sessions. A journal is read when it has changed, and once more when a turn runs in it: no call is made for each
 * session in each poll, also when all of their turns hang. None of these loads a session or touches its idle clock.
 */
export async function poll(cache: SessionCache, context: PollContext): Promise<Polled> {
  const { server, clock, options, deleted } = context;
  const listed = await listSessions(server, options);
  const at = clock.now();
  cache.updateList(listed.filter(({ sessionId }) => !deleted.has(sessionId)));
  if (cache.sizesDue) cache.updateSizes(await getSessionSizes(server, options));
  const more = await readJournals(cache, context);
  await readLabels(cache, context);
  return { at, more };
}

async function readJournals(cache: SessionCache, { server, clock, options }: PollContext): Promise<boolean> {
  const begun = clock.monotonic();
  let calls = 0;
  for (const record of cache.journalsDue(begun)) {
    const monotonic = clock.monotonic();
    if (calls >= JOURNAL_CALLS || monotonic - begun > JOURNALS_MS) return true;
    const watched = cache.isWatched(record.times.sessionId);
    calls += await readInto(record, { server, options, monotonic, watched });
  }
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
