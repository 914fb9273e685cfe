/** A session's usage, summed up from its journal. */
import type { JournalEvent } from './journal.ts';
import type { SessionUsage } from './session.ts';

/** What a session had used as of the event `eventId`; undefined usage: that is not known. */
export interface UsageMark {
  readonly eventId: string;
  readonly usage: SessionUsage | undefined;
}

/** A sum over a journal, page by page from its end, back to an event whose total is known. */
export interface UsageSum {
  /** The newest event of all pages; undefined before the first. */
  readonly newest: string | undefined;
  /** Usage of the events so far. */
  readonly usage: SessionUsage | undefined;
  /** Whether the sum is complete, also if the total can't be known; false: older pages are needed. */
  readonly done: boolean;
}

const NO_USAGE: SessionUsage = { turns: 0, inputTokens: 0, outputTokens: 0 };

/** A sum before its first page. */
export const EMPTY_SUM: UsageSum = { newest: undefined, usage: NO_USAGE, done: false };

/**
 * Adds the page before those in `sum`. The sum is complete at the server's own total, at the event of `mark`, up to which
 * usage is known already, and at the start of the session.
 */
export function sumUsage(
  sum: UsageSum,
  { events, hasMore }: { readonly events: readonly JournalEvent[]; readonly hasMore: boolean },
  mark: UsageMark | undefined,
): UsageSum {
  const newest = sum.newest ?? events.at(-1)?.id;
  let { usage } = sum;
  for (const event of events.toReversed()) {
    if (event.usage?.of === 'total') return { newest, usage: add(usage, event.usage), done: true };
    if (event.id === mark?.eventId) return { newest, usage: add(usage, mark.usage), done: true };
    // There is a second one if a client created a session under an id that existed: the server counts from zero.
    if (event.type === 'session.start') return { newest, usage, done: true };
    if (event.usage !== undefined) usage = add(usage, event.usage);
  }
  return { newest, usage, done: !hasMore };
}

/** Undefined if either is, or if the sum is no safe integer: forged events may hold any number. */
function add(a: SessionUsage | undefined, b: SessionUsage | undefined): SessionUsage | undefined {
  if (a === undefined || b === undefined) return undefined;
  const sum = {
    turns: a.turns + b.turns,
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
  };
  return Object.values(sum).every(Number.isSafeInteger) ? sum : undefined;
}
