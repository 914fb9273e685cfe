/**
 * The TTL rule: which sessions a cleanup deletes. One function, so that the decision is the same through a server and on a volume, by the
 * cleanup command and by the operator.
 */
import type { SessionActivity } from '../copilot/session.ts';
import { mayRemove } from './session-removal.ts';
import { CLOCK_SKEW_MS, clockMargin } from './session-ttl.ts';

const MINUTE_MS = 60_000;

/** A session on a server or a volume. Times are ms since the epoch. */
export interface StoredSession {
  readonly sessionId: string;
  /** mtime of its events.jsonl. */
  readonly modifiedTime: number;
  /** Absent when no server runs, or when the decision does not depend on it. */
  readonly activity?: SessionActivity | undefined;
  /** mtime of the youngest `inuse.<pid>.lock` in its directory; absent without one, or when a server runs. */
  readonly lockTime?: number | undefined;
}

/** What a CopilotSession demands for its session. */
export type Policy =
  | { readonly keep: true }
  | {
      readonly keep?: undefined;
      readonly ttlMs: number;
      /** When the CopilotSession was created, ms since the epoch: its TTL counts from then at the earliest. */
      readonly since?: number | undefined;
    };

/** What the decision depends on besides the session. */
export interface Rule {
  readonly ttlMs: number;
  /** See {@link clockMarginFor}. */
  readonly marginMs: number;
  readonly policies: ReadonlyMap<string, Policy>;
}

/** Why a session is kept or deleted. */
export type Reason = 'UnknownAge' | 'Kept' | 'Young' | 'KeptLonger' | 'Locked' | 'Loaded' | 'Active' | 'Expired';

/** `message` does not name the session, which the caller knows. */
export interface CleanupDecision {
  readonly action: 'Keep' | 'Delete';
  readonly reason: Reason;
  readonly message: string;
}

/**
 * How much longer than its TTL a session is kept, for clocks that differ. On a volume it is unknown whose clock wrote the times, so it is
 * the whole skew. A server's clock wrote them itself, unless the server has moved between nodes: there a short TTL has a short margin,
 * else a TTL of one minute would mean eleven.
 */
export function clockMarginFor(clock: 'Server' | 'Volume', ttlMs: number): number {
  return clock === 'Server' ? clockMargin(ttlMs) : CLOCK_SKEW_MS;
}

/** The decision about one session at the time `now`. Without a reason to keep it, it is deleted. */
export function decide(session: StoredSession, rule: Rule, now: number): CleanupDecision {
  const { modifiedTime, lockTime, activity } = session;
  const policy = rule.policies.get(session.sessionId);
  // An unreadable time is no reason to delete it.
  if (!Number.isFinite(modifiedTime)) return keep('UnknownAge', 'the time of its last activity is unknown');
  // The owner does not matter to the TTL of the tenant, nor does the place: each copy is judged by its own age.
  const permission = mayRemove({ servers: [], owner: undefined, kept: policy?.keep }, { kind: 'Tenant' }, '');
  if (!permission.allowed || policy?.keep) return keep('Kept', permission.message);

  const ttlMs = Math.max(rule.ttlMs, policy?.ttlMs ?? 0);
  const policyStart = Math.max(modifiedTime, policy?.since ?? -Infinity);
  const isOld = (time: number, ttl: number) => now - time > ttl + rule.marginMs;
  const age = `its last activity was ${period(now - modifiedTime)} ago`;
  if (!isOld(modifiedTime, rule.ttlMs)) return keep('Young', `${age}, the TTL is ${period(rule.ttlMs)}`);
  if (policy !== undefined && !isOld(policyStart, policy.ttlMs)) {
    const since = policyStart > modifiedTime ? ', counted from its creation' : '';
    return keep('KeptLonger', `${age}, a CopilotSession gives it ${period(policy.ttlMs)}${since}`);
  }
  // Without a server an older lock is that of a killed one, and would keep the session forever.
  if (lockTime !== undefined && !isOld(lockTime, ttlMs)) {
    return keep('Locked', `a server locked it ${period(now - lockTime)} ago`);
  }
  if (activity === 'Active') return keep('Active', 'a turn is running');
  if (activity === 'Loaded') return keep('Loaded', 'it is in the memory of its server');
  return { action: 'Delete', reason: 'Expired', message: `${age}, the TTL is ${period(ttlMs)}` };
}

function keep(reason: Reason, message: string): CleanupDecision {
  return { action: 'Keep', reason, message };
}

/** The two largest units of a period, such as `26d 3h`. */
function period(ms: number): string {
  if (ms < 0) return `-${period(-ms)}`;
  const minutes = Math.floor(ms / MINUTE_MS);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days > 0) return hours > 0 ? `${days}d ${hours}h` : `${days}d`;
  if (hours > 0) return minutes % 60 > 0 ? `${hours}h ${minutes % 60}m` : `${hours}h`;
  return minutes > 0 ? `${minutes}m` : `${Math.floor(ms / 1000)}s`;
}
