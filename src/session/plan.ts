/** What a reconcile decides for a session whose server answers: a pure function of what was observed. */
import { SessionPhase } from '../api/session-conditions.ts';
import {
  activityOf,
  deletionDueOf,
  expiryDecision,
  expiryOf,
  wasCleanedUp,
  type Activity,
  type ExpiryDecision,
} from './decisions/expiry.ts';
import { isSuccessor, phaseOf } from './decisions/phase.ts';
import { isTenantPaused } from '../resources/tenant.ts';
import type { Observation } from './model.ts';

export interface Plan {
  readonly phase: SessionPhase;
  readonly activity: Activity;
  /** Whether the session's data is deleted now because its time to live has passed. */
  readonly expiry: ExpiryDecision['action'];
  /** When its time to live passes, ms; undefined for never. */
  readonly expiresAt: number | undefined;
  /** When its data may be deleted for that, ms; undefined when it is gone already. */
  readonly dueAt: number | undefined;
}

/** The plan for a session that holds its id and whose servers answer. */
export function planSession({ session, tenant, located, candidates, now }: Observation): Plan {
  const activity = activityOf(located?.facts, isSuccessor(session, located) ? undefined : session.status, now);
  const expiresAt = expiryOf(session, activity.latest);
  const dueAt = deletionDueOf(session, expiresAt);
  const phase = phaseOf(session.status, located);
  const decided = expiryDecision({ session, phase, dueAt, servers: candidates, now });
  const expiry = isTenantPaused(tenant) ? 'none' : decided.action;
  const cleanedUp =
    expiry === 'none' && phase === SessionPhase.Lost && wasCleanedUp(session, tenant, activity.latest, now);
  if (cleanedUp) return { phase: SessionPhase.Expired, activity, expiry, expiresAt, dueAt: undefined };
  return { phase, activity, expiry, expiresAt, dueAt };
}
