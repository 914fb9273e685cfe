/** How the data of a deleted CopilotSession is removed, and when that is given up. */
import type { ServerView } from '../model.ts';
import { LIST_SESSIONS, limitationMessage } from './limitations.ts';

/** Longest time from the deletion of the resource to the removal of its finalizer, in ms. */
export const DEADLINE_MS = 5 * 60_000;
/** The same for one that waits for its turn in a Job, in ms. */
export const MAX_TURN_MS = 30 * 60_000;
/** The same while the tenant is being deleted too: its servers stop, and little is left to wait for. */
export const TENANT_TERMINATING_DEADLINE_MS = 60_000;
/** A process that has just started tries for this long, in ms, even if the deadline passed while the operator did not run. */
export const STARTUP_GRACE_MS = 30_000;

/** `delete`: by the server. `job`: on the volume. `wait`: neither is possible now. */
export type RemovalStep = {
  readonly action: 'delete' | 'job' | 'wait';
  readonly reason: string;
  readonly message: string;
};

/** How the data is removed from one server. */
export function removalStep(server: ServerView): RemovalStep {
  const { name, answer, runState } = server;
  if (answer !== undefined) {
    return { action: 'delete', reason: 'ServerAnswers', message: `Server ${name} deletes the session.` };
  }
  if (runState === 'Stopped') {
    return { action: 'job', reason: 'ServerStopped', message: `A Job removes the session from the volume of ${name}.` };
  }
  // A Job would be a second writer: a server writes what it has in memory when it stops.
  // What it has can't be verified before a removal, nor that the removal worked.
  const limitation = limitationMessage(server, LIST_SESSIONS);
  if (limitation !== undefined && runState === 'Expected') {
    return { action: 'wait', reason: 'ServerLimited', message: limitation };
  }
  return runState === 'Stopping'
    ? { action: 'wait', reason: 'ServerStopping', message: `Server ${name} is still stopping.` }
    : { action: 'wait', reason: 'ServerSilent', message: `Server ${name} does not answer.` };
}

/** What the deadline of a deletion is decided from. */
export interface DeadlineInput {
  /** When the resource was deleted, ms. */
  readonly deletedAt: number;
  readonly tenantTerminating: boolean;
  /** Until when a Job works on its volume, ms since the epoch: for this session, or for others first. */
  readonly until?: number | undefined;
  /** When this process first saw a deleted session, ms. */
  readonly startedAt: number;
}

/** When the finalizer is removed even though data is left behind, ms. */
export function deadlineOf({ deletedAt, tenantTerminating, until, startedAt }: DeadlineInput): number {
  const limit = tenantTerminating ? TENANT_TERMINATING_DEADLINE_MS : DEADLINE_MS;
  const turn = tenantTerminating || until === undefined ? 0 : Math.min(until, deletedAt + MAX_TURN_MS);
  return Math.max(deletedAt + limit, startedAt + STARTUP_GRACE_MS, turn);
}
