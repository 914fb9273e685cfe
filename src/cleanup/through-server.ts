/** Deletes sessions through the server that has them. */
import {
  deleteSession,
  getActivity,
  getClientMetadata,
  getServerTime,
  getSessionSizes,
  getSessionTimes,
  listSessions,
  RefusedError,
  RpcError,
  type Client,
  type SessionTimes,
} from '../copilot/index.ts';
import { attempt, throwIfStopped, type Context } from './context.ts';
import { mayRemove, OWNER_LABEL } from '../resources/session-removal.ts';
import { type CleanupDecision, clockMarginFor, decide, type StoredSession } from '../resources/ttl-rule.ts';
import type { RequestedDeletion, TtlTask } from './model.ts';

/** Listing thousands of sessions on a busy server takes a while; one session does not. */
const LIST = { timeoutMs: 60_000 };
const ONE = { timeoutMs: 20_000 };
/** A difference of clocks that is logged. */
const NOTABLE_SKEW_MS = 60_000;

/**
 * Deletes sessions by the TTL rule, one at a time. A session that can't be deleted is reported, and the run continues.
 * @throws when the server does not answer any more.
 */
export async function cleanUpServer(target: string, client: Client, task: TtlTask, context: Context): Promise<void> {
  const { report } = context;
  const rule = { ...task, marginMs: clockMarginFor('Server', task.ttlMs) };
  const now = await serverNow(target, client, context);
  const candidates: string[] = [];
  for (const times of await listSessions(client, LIST)) {
    if (decide(storedSession(times), rule, now()).action === 'Keep') report.kept();
    else candidates.push(times.sessionId);
  }
  if (candidates.length === 0) return;

  const sizes = await sizesOf(target, client, context);
  /** As of now: while others were deleted since the list was read, it may have had a turn. */
  const currentDecision = async (sessionId: string): Promise<CleanupDecision | undefined> => {
    const times = await getSessionTimes(client, sessionId, ONE);
    if (times === undefined) return undefined;
    const decision = decide(storedSession(times), rule, now());
    if (decision.action === 'Keep') return decision;
    return decide({ ...storedSession(times), activity: await getActivity(client, sessionId, ONE) }, rule, now());
  };
  for (const sessionId of candidates) {
    throwIfStopped(context);
    await attempt(`${target}: session ${sessionId}`, context, async () => {
      const decision = await currentDecision(sessionId);
      if (decision === undefined) return report.alreadyGone(target, sessionId);
      if (decision.action === 'Keep') return report.kept();
      if (!report.dryRun && !(await deleteAndVerify(client, sessionId))) return report.alreadyGone(target, sessionId);
      const bytes = sizes.get(sessionId) ?? 0;
      return report.deleted({ target, sessionId, bytes, message: decision.message });
    });
  }
}

/** Deletes one session of any age, unless it has another owner. A missing session is no error. */
export async function deleteOnServer(
  target: string,
  client: Client,
  { sessionId, owner }: RequestedDeletion,
  context: Context,
): Promise<void> {
  const { report } = context;
  throwIfStopped(context);
  const bytes = (await sizesOf(target, client, context)).get(sessionId) ?? 0;
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    if ((await getSessionTimes(client, sessionId, ONE)) !== undefined) {
      const labels = (await getClientMetadata(client, [sessionId], [OWNER_LABEL], ONE)).get(sessionId);
      const stored = { servers: [target], owner: labels && (labels[OWNER_LABEL] ?? '') };
      const permission = mayRemove(stored, { kind: 'Session', owner }, target);
      if (!permission.allowed) return report.refused(target, sessionId, permission);
    }
    const exists = report.dryRun
      ? (await getSessionTimes(client, sessionId, ONE)) !== undefined
      : await deleteAndVerify(client, sessionId);
    if (exists) return report.deleted({ target, sessionId, bytes, message: 'its deletion was requested' });
    return report.alreadyGone(target, sessionId);
  });
}

/** Whether the server has a session in its memory. */
export async function isLoaded(client: Client, sessionId: string): Promise<boolean> {
  return (await getActivity(client, sessionId, ONE)) !== 'Unloaded';
}

/** The sizes of the sessions, which are only reported: none if the server answers with an error. */
async function sizesOf(target: string, client: Client, { log }: Context): Promise<ReadonlyMap<string, number>> {
  try {
    return await getSessionSizes(client, LIST);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    log.warn({ target, code: error.code }, 'the server does not report the sizes of its sessions; they count as 0');
    return new Map();
  }
}

/** Whether it existed. */
async function deleteAndVerify(client: Client, sessionId: string): Promise<boolean> {
  if ((await deleteSession(client, sessionId, ONE)) === 'NotFound') return false;
  if ((await getSessionTimes(client, sessionId, ONE)) === undefined) return true;
  throw new RefusedError(`${client.address}: the server reported the session as deleted, but still has it`);
}

/**
 * The time by the server's clock, which wrote the sessions' times, or by our own when that is earlier: a server whose clock is ahead, or
 * that lies, does not cause early deletions.
 */
async function serverNow(target: string, client: Client, { clock, log }: Context): Promise<() => number> {
  const skew = (await getServerTime(client, ONE)) - clock.now();
  if (Math.abs(skew) > NOTABLE_SKEW_MS) {
    log.warn({ target, seconds: Math.round(skew / 1000) }, 'the clocks of the server and the cleanup differ');
  }
  return () => clock.now() + Math.min(skew, 0);
}

function storedSession({ sessionId, modifiedTime }: SessionTimes): StoredSession {
  return { sessionId, modifiedTime: Date.parse(modifiedTime) };
}
