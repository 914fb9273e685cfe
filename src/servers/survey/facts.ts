/** Comparing and summing up what is known of sessions; pure functions. */
import type { ServerSessions, SessionFacts } from './sessions.ts';

/** Whether nothing differs that would be reported. */
export function sameFacts(a: SessionFacts | undefined, b: SessionFacts): boolean {
  if (a === undefined) return false;
  return (Object.keys(b) as (keyof SessionFacts)[]).every((field) =>
    field === 'usage' || field === 'labels' ? sameEntries(a[field], b[field]) : a[field] === b[field],
  );
}

/** Of all servers without sessions, which most are at any time. */
const NONE: ReadonlyMap<string, SessionFacts> = new Map();

/** All sessions of a server together, as of the wall-clock time `at`. */
export function summaryOf(sessions: readonly SessionFacts[], at: number): ServerSessions {
  let [active, loaded, totalBytes] = [0, 0, 0];
  for (const { activity, sizeBytes } of sessions) {
    if (activity === 'Active') active += 1;
    if (activity !== 'Unloaded') loaded += 1;
    totalBytes += sizeBytes;
  }
  const byId = sessions.length === 0 ? NONE : new Map(sessions.map((facts) => [facts.sessionId, facts]));
  return { at, sessions: byId, active, loaded, totalBytes };
}

const RANK = { Unloaded: 0, Loaded: 1, Active: 2 } as const;

/**
 * The sessions of servers that share a volume, each once: with the highest activity that one of them reports, because each judges by the
 * same journal and by its own start. Undefined: none answers.
 */
export function mergedSessions(answers: readonly ServerSessions[]): ServerSessions | undefined {
  const [first, ...others] = answers;
  if (first === undefined || others.length === 0) return first;
  const merged = new Map(first.sessions);
  for (const { sessions } of others) {
    for (const [id, facts] of sessions) {
      const before = merged.get(id);
      if (before === undefined || RANK[facts.activity] > RANK[before.activity]) merged.set(id, facts);
    }
  }
  return summaryOf([...merged.values()], Math.max(...answers.map(({ at }) => at)));
}

/** Of two flat objects; undefined is only the same as undefined. */
function sameEntries(a: object | undefined, b: object | undefined): boolean {
  if (a === b || a === undefined || b === undefined) return a === b;
  const before = new Map<string, unknown>(Object.entries(a));
  const after = Object.entries(b);
  return before.size === after.length && after.every(([key, value]) => before.get(key) === value);
}
