/** Compares what all clients of a test said and were told with the journals of its servers. */
import type { CopilotClient } from '@github/copilot-sdk';
import { setTimeout } from 'node:timers/promises';
import { withoutStop, type DurableEvent } from '../../src/gateway/relay/journal/journal-end.ts';
import { ClientRecord, type SessionRecord, type View } from './client-record.ts';
import { problemsOf, type HistoryEvent } from './history.ts';
import { historyEvent } from './watched.ts';

/** How late servers write the last events of a turn and the gateway tells them, in ms, with time for a busy machine. */
const LATE_MS = 5_000;
const EVERY_MS = 50;
/** What servers write for themselves, and tell nobody. */
const NOT_TOLD = 'session.usage_record';

export class Histories {
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #problems: string[] = [];
  readonly #unchecked = new Set<string>();
  readonly #journalOf: (sessionId: string) => string;

  /** `journalOf`: what is on the disk of a session; empty where it was deleted, which is not checked. */
  constructor(journalOf: (sessionId: string) => string) {
    this.#journalOf = journalOf;
  }

  /** Runs `use`, and notes what its client does and is told. Before that leaves, all has to come that it is to get. */
  async watch<T>(client: CopilotClient, use: (client: CopilotClient) => Promise<T>): Promise<T> {
    const record = new ClientRecord(client, this.#sessions, this.#problems, (id) => this.#journalOf(id) === '');
    const result = await use(client);
    const ends = record.open.map(([id, view]) => ({ id, view, until: this.#journal(id).at(-1)?.id }));
    const missing = () =>
      ends.filter(({ id, view, until }) => view.isOpen && this.#seen(id, { ...view, until }).length > 0);
    await within(() => record.waiting.length === 0 && missing().length === 0);
    for (const { view, until } of ends) if (view.isOpen) view.until = until;
    this.#problems.push(...record.waiting.map((method) => `a call of ${method} got no answer`));
    return result;
  }

  /** Something of this session is lost, and its clients are told so: it is not checked. */
  mayLose(sessionId: string): void {
    this.#unchecked.add(sessionId);
  }

  /** What is wrong, in sentences. */
  async problems(): Promise<string[]> {
    const find = () => [...this.#sessions].flatMap(([id, record]) => this.#ofSession(id, record));
    await within(() => find().length === 0);
    return [...this.#problems, ...find()];
  }

  #ofSession(id: string, { views, sent, acknowledged }: SessionRecord): string[] {
    const problems = [
      ...promptProblems(this.#journal(id), sent, acknowledged),
      ...views.flatMap((view) => this.#seen(id, view)),
    ];
    return problems.map((problem) => `session ${id}: ${problem}`);
  }

  #seen(id: string, view: View): string[] {
    return seenProblems(this.#journal(id), view);
  }

  #journal(id: string): HistoryEvent[] {
    return this.#unchecked.has(id) ? [] : eventsOf(this.#journalOf(id));
  }
}

/** Waits until it is so, or too long. */
async function within(isSo: () => boolean): Promise<void> {
  const endsAt = performance.now() + LATE_MS;
  while (!isSo() && performance.now() < endsAt) await setTimeout(EVERY_MS);
}

/** Every prompt that was acknowledged is there, and none more often than it was sent. */
function promptProblems(
  journal: readonly HistoryEvent[],
  sent: readonly string[],
  acknowledged: readonly string[],
): string[] {
  if (journal.length === 0) return [];
  const written = journal.flatMap(({ type, content = '' }) => (type === 'user.message' ? [content] : []));
  const count = (texts: readonly string[], prompt: string) => texts.filter((text) => text === prompt).length;
  return [...new Set(sent)].flatMap((prompt) => {
    const [is, least, most] = [count(written, prompt), count(acknowledged, prompt), count(sent, prompt)];
    if (is >= least && is <= most) return [];
    return [
      `the journal has the prompt ${prompt} ${is} times; it was sent ${most} times, and acknowledged ${least} times`,
    ];
  });
}

/** From the first event that a client saw to its last one it saw each once, and in order. */
function seenProblems(journal: readonly HistoryEvent[], { isMaker, events, until }: View): string[] {
  const seen = new Set(events.map(({ id }) => id));
  const first = isMaker ? 0 : journal.findIndex(({ id }) => seen.has(id));
  const last = journal.findLastIndex(({ id }) => seen.has(id) || id === until);
  if (first < 0 || last < 0) return [];
  const part = journal.slice(first, last + 1);
  const prompts = part.flatMap(({ type, content = '' }) => (type === 'user.message' ? [content] : []));
  return problemsOf(part, { prompts, failed: [], events });
}

/**
 * Of a journal on the disk, whose last line may be half written. What could not be written at first is there twice. The errors that a server writes
 * because it stops are told to nobody: the turn goes on at the next one.
 */
function eventsOf(journal: string): HistoryEvent[] {
  const lines = journal.split('\n');
  lines.pop();
  const written = lines.map((line): DurableEvent => {
    const event = JSON.parse(line) as DurableEvent & Readonly<Record<string, unknown>>;
    return { id: event.id, type: event.type, event };
  });
  const events = withoutStop(written).map(({ event }) => historyEvent(event as Parameters<typeof historyEvent>[0]));
  return [...new Map(events.map((event) => [event.id, event])).values()].filter(({ type }) => type !== NOT_TOLD);
}
