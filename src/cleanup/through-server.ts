/** Deleting sessions through the server that has them. */
import {
  deleteSession,
  getActivity,
  getServerTime,
  getSessionSizes,
  getSessionTimes,
  listSessions,
  RefusedError,
  type Client,
  type SessionTimes,
} from '../copilot/index.ts';
import { attempt, checkStop, type Context } from './context.ts';
import { judge, safetyMargin, type Verdict } from './ttl-rule.ts';
import type { SessionFacts, TtlTask } from './model.ts';

/** Listing thousands of sessions on a busy server takes a while; one session does not. */
const LIST = { timeoutMs: 60_000 };
const ONE = { timeoutMs: 20_000 };
/** A difference of clocks that people should know of. */
const NOTABLE_SKEW_MS = 60_000;

/**
 * Deletes what the TTL rule says, one session at a time. What no longer answers ends it, and throws; a session that can't be
 * deleted is counted, and the next one is tried.
 */
export async function cleanUpServer(
  target: string,
  connection: Client,
  task: TtlTask,
  context: Context,
): Promise<void> {
  const { tally } = context;
  const rule = { ...task, marginMs: safetyMargin('Server', task.ttlMs) };
  const now = await clockOf(target, connection, context);
  const candidates: string[] = [];
  for (const times of await listSessions(connection, LIST)) {
    if (judge(factsOf(times), rule, now()).verdict === 'Keep') tally.kept();
    else candidates.push(times.sessionId);
  }
  if (candidates.length === 0) return;

  const sizes = await getSessionSizes(connection, LIST);
  /** As the session is now: since the list was made, others have been deleted, and it may have had a turn. */
  const verdictOf = async (sessionId: string): Promise<Verdict | undefined> => {
    const times = await getSessionTimes(connection, sessionId, ONE);
    if (times === undefined) return undefined;
    const verdict = judge(factsOf(times), rule, now());
    if (verdict.verdict === 'Keep') return verdict;
    return judge({ ...factsOf(times), activity: await getActivity(connection, sessionId, ONE) }, rule, now());
  };
  for (const sessionId of candidates) {
    checkStop(context);
    await attempt(`${target}: session ${sessionId}`, context, async () => {
      const verdict = await verdictOf(sessionId);
      if (verdict === undefined) return tally.gone(target, sessionId);
      if (verdict.verdict === 'Keep') return tally.kept();
      if (!tally.dryRun && !(await deleteVerified(connection, sessionId))) return tally.gone(target, sessionId);
      const bytes = sizes.get(sessionId) ?? 0;
      return tally.deleted({ target, sessionId, bytes, message: verdict.message });
    });
  }
}

/** Deletes one session whatever its age. Not there is fine. */
export async function deleteOnServer(
  target: string,
  connection: Client,
  sessionId: string,
  context: Context,
): Promise<void> {
  const { tally } = context;
  checkStop(context);
  const bytes = (await getSessionSizes(connection, LIST)).get(sessionId) ?? 0;
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    const isThere = tally.dryRun
      ? (await getSessionTimes(connection, sessionId, ONE)) !== undefined
      : await deleteVerified(connection, sessionId);
    if (isThere) tally.deleted({ target, sessionId, bytes, message: 'it was asked for' });
    else tally.gone(target, sessionId);
  });
}

/** Whether the server holds a session in its memory. */
export async function isLoaded(connection: Client, sessionId: string): Promise<boolean> {
  return (await getActivity(connection, sessionId, ONE)) !== 'Unloaded';
}

/** Whether it was there. */
async function deleteVerified(connection: Client, sessionId: string): Promise<boolean> {
  if ((await deleteSession(connection, sessionId, ONE)) === 'NotFound') return false;
  if ((await getSessionTimes(connection, sessionId, ONE)) === undefined) return true;
  throw new RefusedError(`${connection.address}: the server said that it deleted the session, and still has it`);
}

/**
 * The time by the server's clock, for it wrote the sessions' times; by our own when that is earlier. So a server whose clock is
 * ahead, or that lies, has nothing deleted early.
 */
async function clockOf(target: string, connection: Client, { clock, log }: Context): Promise<() => number> {
  const skew = (await getServerTime(connection, ONE)) - clock.now();
  if (Math.abs(skew) > NOTABLE_SKEW_MS) {
    log.warn({ target, seconds: Math.round(skew / 1000) }, 'the clock of the server differs from ours');
  }
  return () => clock.now() + Math.min(skew, 0);
}

function factsOf({ sessionId, modifiedTime }: SessionTimes): SessionFacts {
  return { sessionId, modifiedTime: Date.parse(modifiedTime) };
}
