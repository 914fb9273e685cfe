import { durationMs } from '../../api/duration.ts';
import { SessionPhase } from '../../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../../api/session.ts';
import { exponentialDelay } from '../../kube/clock/backoff.ts';
import type { SessionFacts } from '../../servers/survey/sessions.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { clockMargin, ttlOf } from '../../resources/session-ttl.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { ServerView } from '../model.ts';

/** How long a session that is in use after all is left alone. */
const IN_USE_BACKOFF = { baseMs: 2_000, maxMs: 60_000 };
/** An answer older than this, in ms, is no ground to delete a session on. */
const MAX_AGE_MS = 60_000;

/**
 * When the session's time is up, ms: its `ttl` after the last activity, before the first turn after the creation of the
 * resource. Undefined for never.
 */
export function expiryOf({ spec, metadata }: CopilotSession, lastActivity: number | undefined): number | undefined {
  const ttl = ttlOf(spec);
  return ttl === undefined ? undefined : (lastActivity ?? Date.parse(metadata.creationTimestamp ?? '')) + ttl;
}

/** When the data may go, ms: a margin after `expiresAt`, since the server's clock told the activity and ours tells the time. */
export function deletionDueOf({ spec }: CopilotSession, expiresAt: number | undefined): number | undefined {
  return expiresAt === undefined ? undefined : expiresAt + clockMargin(ttlOf(spec) ?? 0);
}

export interface Activity {
  /** What people are told; undefined before the first turn. */
  readonly reported: number | undefined;
  /** The latest time that may be the right one: nothing is deleted for less. */
  readonly latest: number | undefined;
}

/**
 * The last activity, ms. Until the journal was looked at, the facts have the file's time, which an unload moves too: then
 * what was told before stands, so that a session that is only unloaded changes no status. A server's clock may be ahead:
 * nothing has happened later than now.
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

/** `due`: its data may go now. `refresh`: its time is up, but first its servers have to say again how it is. */
export type ExpiryDecision = { readonly action: 'none' | 'due' | 'refresh'; readonly reason: string };

export interface ExpiryInput {
  readonly session: CopilotSession;
  readonly phase: SessionPhase;
  /** When its data may go, ms: see {@link deletionDueOf}. */
  readonly dueAt: number | undefined;
  /** The server that holds it; before its first turn, and when it is missing, all that it may be on. */
  readonly servers: readonly ServerView[];
  readonly now: number;
}

/**
 * Whether the session is deleted now because its time is up. A loaded session may be, one whose turn runs never. One
 * without a turn ends alike: nobody used the id in time, so that it is free again, and a Persistent resource tells so.
 */
export function expiryDecision({ session, phase, dueAt, servers, now }: ExpiryInput): ExpiryDecision {
  if (dueAt === undefined) return none('it has no ttl');
  if (now < dueAt) return none('its time is not up');
  if (phase === SessionPhase.Active) return none('a turn is running');
  if (session.spec.lifecycle === 'Persistent' && isReportedGone(session, phase))
    return none('its data is gone already');
  // Who can't be asked may hold it, and may be used.
  if (servers.some(({ answer }) => answer === undefined)) return none('a server that it may be on does not answer');
  const fresh = ({ answer }: ServerView): boolean =>
    answer !== undefined && answer.at > dueAt && now - answer.at <= MAX_AGE_MS;
  if (!servers.every(fresh)) return { action: 'refresh', reason: 'what is known of it is from before its time was up' };
  return { action: 'due', reason: 'its time is up' };
}

/** Whether people know already that the data is gone: found missing after its time, a session has expired, and is not lost. */
function isReportedGone({ status }: CopilotSession, phase: SessionPhase): boolean {
  return phase === SessionPhase.Expired || (phase === SessionPhase.Lost && status?.phase === SessionPhase.Lost);
}

/**
 * Whether a session that is missing was old enough for the tenant's own cleanup: then it was that. What the session's own
 * policy keeps the cleanup leaves alone, and what people know as lost was missing before its time.
 */
export function wasCleanedUp(
  { spec, status }: CopilotSession,
  tenant: CopilotTenant,
  lastActivity: number | undefined,
  now: number,
): boolean {
  const { ttl, cleanupDryRun } = tenant.spec.sessions;
  const own = ttlOf(spec);
  if (ttl === undefined || cleanupDryRun || own === undefined || lastActivity === undefined) return false;
  return status?.phase !== SessionPhase.Lost && lastActivity + Math.max(durationMs(ttl), own) <= now;
}

/**
 * How long a session that was due and in use after all is left alone, ms, the `times`-th time in a row: the question wakes
 * it, and a turn that no journal tells of may go on for hours.
 */
export function inUseDelay(times: number): number {
  return exponentialDelay(IN_USE_BACKOFF, times - 1);
}

function none(reason: string): ExpiryDecision {
  return { action: 'none', reason };
}
