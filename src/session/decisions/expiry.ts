/** When a session expires, and whether its data is deleted for that now. */
import { durationMs } from '../../api/duration.ts';
import { SessionPhase } from '../../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../../api/session.ts';
import { exponentialDelay } from '../../kube/clock/backoff.ts';
import type { SessionFacts } from '../../servers/survey/sessions.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { clockMargin, ttlOf } from '../../resources/session-ttl.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { ServerView } from '../model.ts';

/** How long a session that was due but in use is left alone. */
const IN_USE_BACKOFF = { baseMs: 2_000, maxMs: 60_000 };
/** A session is not deleted on an answer older than this, in ms. */
const MAX_ANSWER_AGE_MS = 60_000;

/**
 * When the session's time to live passes, ms: its `ttl` after the last activity, and not earlier than that after the creation of the
 * resource, so that a new policy does not delete an old session at once. Undefined for never.
 */
export function expiryOf(session: CopilotSession, lastActivity: number | undefined): number | undefined {
  const ttl = ttlOf(session.spec);
  return ttl === undefined ? undefined : ttlStart(session, lastActivity) + ttl;
}

/** When the time to live starts, ms. A resource without a creation timestamp is not stored yet. */
function ttlStart({ metadata }: CopilotSession, lastActivity: number = -Infinity): number {
  const created = Date.parse(metadata.creationTimestamp ?? '');
  return Math.max(lastActivity, Number.isNaN(created) ? lastActivity : created);
}

/** When the data may be deleted, ms: a margin after `expiresAt`, since the server's clock dates the activity and ours reads the time. */
export function deletionDueOf({ spec }: CopilotSession, expiresAt: number | undefined): number | undefined {
  return expiresAt === undefined ? undefined : expiresAt + clockMargin(ttlOf(spec) ?? 0);
}

/** When a session was last active, ms. */
export interface Activity {
  /** The time to report; undefined before the first turn. */
  readonly reported: number | undefined;
  /** The latest time that it may have been: an expiry counts from here. */
  readonly latest: number | undefined;
}

/**
 * The last activity. Until the journal was read, the facts have the file's modification time, which an unload changes too: then
 * the reported time stays, so that a session that is only unloaded causes no write. A server's clock may be ahead, so no activity
 * counts as later than now.
 */
export function activityOf(
  facts: SessionFacts | undefined,
  status: CopilotSessionStatus | undefined,
  now: number,
): Activity {
  const before = status?.lastActivityTime === undefined ? undefined : Date.parse(status.lastActivityTime);
  if (facts === undefined) return { reported: before, latest: before };
  const found = Math.min(facts.lastActivityTime, now);
  if (facts.unread !== true || before === undefined) return { reported: found, latest: found };
  return { reported: before, latest: Math.max(found, before) };
}

/** `due`: delete the data now. `refresh`: its time to live has passed, but its servers have to answer once more first. */
export type ExpiryDecision = { readonly action: 'none' | 'due' | 'refresh'; readonly reason: string };

export interface ExpiryInput {
  readonly session: CopilotSession;
  readonly phase: SessionPhase;
  /** When its data may be deleted, ms: see {@link deletionDueOf}. */
  readonly dueAt: number | undefined;
  /** The server that has it; before its first turn, and when it is missing, all that may have it. */
  readonly servers: readonly ServerView[];
  readonly now: number;
}

/**
 * Whether the session is deleted now because its time to live has passed. A loaded session may be, one with a running turn never
 * is. One that never had a turn expires as well, which frees its id.
 */
export function expiryDecision({ session, phase, dueAt, servers, now }: ExpiryInput): ExpiryDecision {
  if (dueAt === undefined) return none('it has no ttl');
  if (now < dueAt) return none('its time to live has not passed');
  if (phase === SessionPhase.Active) return none('a turn is running');
  if (session.spec.lifecycle === 'Persistent' && isReportedGone(session, phase))
    return none('its data is already gone');
  // A server that does not answer may have it, in use.
  if (servers.some(({ answer }) => answer === undefined)) return none('a server that may have it does not answer');
  const fresh = ({ answer }: ServerView): boolean =>
    answer !== undefined && answer.at > dueAt && now - answer.at <= MAX_ANSWER_AGE_MS;
  if (!servers.every(fresh)) return { action: 'refresh', reason: 'the last answers are from before it expired' };
  return { action: 'due', reason: 'its time to live has passed' };
}

/** Whether the status already reports that the data is gone: a session found missing after its time has expired, and is not lost. */
function isReportedGone({ status }: CopilotSession, phase: SessionPhase): boolean {
  return phase === SessionPhase.Expired || (phase === SessionPhase.Lost && status?.phase === SessionPhase.Lost);
}

/**
 * Whether a missing session was old enough for the tenant's cleanup, which then deleted it. The cleanup skips what the session's own
 * policy keeps, and what is reported as lost was missing before its time.
 */
export function wasCleanedUp(
  session: CopilotSession,
  tenant: CopilotTenant,
  lastActivity: number | undefined,
  now: number,
): boolean {
  const { ttl, cleanupDryRun } = tenant.spec.sessions;
  const own = expiryOf(session, lastActivity);
  if (ttl === undefined || cleanupDryRun || own === undefined || lastActivity === undefined) return false;
  return session.status?.phase !== SessionPhase.Lost && Math.max(lastActivity + durationMs(ttl), own) <= now;
}

/**
 * How long a session that was due but in use is left alone, ms, the `times`-th time in a row. Each check loads the session, and a
 * turn that has not reached the journal may run for hours.
 */
export function inUseDelay(times: number): number {
  return exponentialDelay(IN_USE_BACKOFF, times - 1);
}

function none(reason: string): ExpiryDecision {
  return { action: 'none', reason };
}
