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
import { attempt, throwIfStopped, type Context } from './context.ts';
import { decide, clockMarginFor, type CleanupDecision } from './ttl-rule.ts';
import type { StoredSession, TtlTask } from './model.ts';

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
  const { report } = context;
  const rule = { ...task, marginMs: clockMarginFor('Server', task.ttlMs) };
  const now = await serverNow(target, connection, context);
  const candidates: string[] = [];
  for (const times of await listSessions(connection, LIST)) {
    if (decide(factsOf(times), rule, now()).action === 'Keep') report.kept();
    else candidates.push(times.sessionId);
  }
  if (candidates.length === 0) return;

  const sizes = await getSessionSizes(connection, LIST);
  /** As the session is now: since the list was made, others have been deleted, and it may have had a turn. */
  const currentDecision = async (sessionId: string): Promise<CleanupDecision | undefined> => {
    const times = await getSessionTimes(connection, sessionId, ONE);
    if (times === undefined) return undefined;
    const decision = decide(factsOf(times), rule, now());
    if (decision.action === 'Keep') return decision;
    return decide({ ...factsOf(times), activity: await getActivity(connection, sessionId, ONE) }, rule, now());
  };
  for (const sessionId of candidates) {
    throwIfStopped(context);
    await attempt(`${target}: session ${sessionId}`, context, async () => {
      const decision = await currentDecision(sessionId);
      if (decision === undefined) return report.alreadyGone(target, sessionId);
      if (decision.action === 'Keep') return report.kept();
      if (!report.dryRun && !(await deleteAndVerify(connection, sessionId)))
        return report.alreadyGone(target, sessionId);
      const bytes = sizes.get(sessionId) ?? 0;
      return report.deleted({ target, sessionId, bytes, message: decision.message });
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
  const { report } = context;
  throwIfStopped(context);
  const bytes = (await getSessionSizes(connection, LIST)).get(sessionId) ?? 0;
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    const isThere = report.dryRun
      ? (await getSessionTimes(connection, sessionId, ONE)) !== undefined
      : await deleteAndVerify(connection, sessionId);
    if (isThere) report.deleted({ target, sessionId, bytes, message: 'it was asked for' });
    else report.alreadyGone(target, sessionId);
  });
}

/** Whether the server holds a session in its memory. */
export async function isLoaded(connection: Client, sessionId: string): Promise<boolean> {
  return (await getActivity(connection, sessionId, ONE)) !== 'Unloaded';
}

/** Whether it was there. */
async function deleteAndVerify(connection: Client, sessionId: string): Promise<boolean> {
  if ((await deleteSession(connection, sessionId, ONE)) === 'NotFound') return false;
  if ((await getSessionTimes(connection, sessionId, ONE)) === undefined) return true;
  throw new RefusedError(`${connection.address}: the server said that it deleted the session, and still has it`);
}

/**
 * The time by the server's clock, for it wrote the sessions' times; by our own when that is earlier. So a server whose clock is
 * ahead, or that lies, has nothing deleted early.
 */
async function serverNow(target: string, connection: Client, { clock, log }: Context): Promise<() => number> {
  const skew = (await getServerTime(connection, ONE)) - clock.now();
  if (Math.abs(skew) > NOTABLE_SKEW_MS) {
    log.warn({ target, seconds: Math.round(skew / 1000) }, 'the clock of the server differs from ours');
  }
  return () => clock.now() + Math.min(skew, 0);
}

function factsOf({ sessionId, modifiedTime }: SessionTimes): StoredSession {
  return { sessionId, modifiedTime: Date.parse(modifiedTime) };
}
