/** What a session does, derived from its journal. */
import type { JournalEvent } from './journal.ts';
import type { SessionActivity } from './session.ts';

/** The state of a session as its newest events show it. */
export interface JournalState {
  /** As of the last event. */
  readonly activity: SessionActivity;
  /** When that was written, ms since the epoch; undefined without events. */
  readonly lastEventTime: number | undefined;
  /** When a turn last started, continued or ended, ms since the epoch; undefined if none of the events is of a turn. */
  readonly lastActivityTime: number | undefined;
}

/** These start a turn, of the session or of one of its sub-agents. */
const BEGINS = new Set(['user.message', 'assistant.turn_start', 'subagent.started']);
const ENDS = new Set(['assistant.turn_end', 'subagent.completed', 'subagent.failed']);
/** After these no turn runs: it was interrupted, or the session was unloaded or has just been loaded. */
const ENDS_ALL = new Set(['abort', 'session.shutdown', 'session.resume', 'session.start']);

/**
 * Derives a session's state from its journal's newest events, oldest first. A session that was loaded and has not been used
 * since still counts as `Unloaded`: the server writes `session.resume` together with the first event after it. A session whose
 * events do not show its state counts as `Loaded`.
 */
export function journalState(events: readonly JournalEvent[]): JournalState {
  const last = events.at(-1);
  // Loading and unloading are no activity: opening a session without using it must not prolong its life.
  const turn = events.findLast(({ type }) => !type.startsWith('session.'));
  const loaded = isTurnRunning(events) ? 'Active' : 'Loaded';
  return {
    activity: last?.type === 'session.shutdown' ? 'Unloaded' : loaded,
    lastEventTime: last?.at,
    lastActivityTime: turn?.at,
  };
}

/**
 * Whether the session is loaded, and whether a turn runs. A killed server writes no `session.shutdown`, so a session without
 * an event since `startedAt`, when the server's process started, is not loaded. All times in ms since the epoch.
 */
export function activityOf(
  { activity, lastEventTime }: JournalState,
  { startedAt, modifiedTime }: { readonly startedAt: number; readonly modifiedTime: number },
): SessionActivity {
  return (lastEventTime ?? modifiedTime) < startedAt ? 'Unloaded' : activity;
}

function isTurnRunning(events: readonly JournalEvent[]): boolean {
  /** Whether a turn runs, by sub-agent; the session's own is under undefined. A background sub-agent outlives its parent's turn. */
  const running = new Map<string | undefined, boolean>();
  for (const { type, agent } of events) {
    if (ENDS_ALL.has(type) && agent === undefined) {
      for (const each of [undefined, ...running.keys()]) running.set(each, false);
    } else if (BEGINS.has(type)) running.set(agent, true);
    else if (ENDS.has(type) || ENDS_ALL.has(type)) running.set(agent, false);
    // Of a turn that started before these events, such as one with many tool calls.
    else if (isWork(type) && !running.has(agent)) running.set(agent, true);
  }
  return [...running.values()].includes(true);
}

/** Whether events of this type are written only while a turn runs. */
function isWork(type: string): boolean {
  return type === 'assistant.message' || type.startsWith('tool.') || type.startsWith('permission.');
}
