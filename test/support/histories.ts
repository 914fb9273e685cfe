/** Watches the sessions that clients of a test make and resume, and checks all of their histories against the journals at its end. */
import type { CopilotClient, CopilotSession, MessageOptions } from '@github/copilot-sdk';
import { problemsOf, type HistoryEvent } from './history.ts';
import { historyEvent } from './watched.ts';

/** What one client did in a session, and saw of it since it was attached. */
interface Watch {
  /** It made the session, so it is to see all of it. */
  readonly isMaker: boolean;
  readonly events: HistoryEvent[];
  /** Prompts that were answered to it. */
  readonly answered: string[];
  /** All that it sent: of some it may not know what became of them. */
  readonly sent: string[];
}

export class Histories {
  readonly #watches = new Map<string, Watch[]>();

  /** Watches every session that this client makes or resumes from now on. */
  watch(client: CopilotClient): void {
    const create = client.createSession.bind(client);
    const resume = client.resumeSession.bind(client);
    client.createSession = async (config) => this.#watched(await create(config), true);
    client.resumeSession = async (id, config) => this.#watched(await resume(id, config), false);
  }

  /** What is wrong with any of them, in sentences. `journalOf`: what is on the disk; empty where the session was deleted, which is not checked. */
  problems(journalOf: (sessionId: string) => string): string[] {
    return [...this.#watches].flatMap(([id, watches]) => {
      const journal = eventsOf(journalOf(id));
      const problems =
        journal.length === 0 ? [] : [...promptProblems(journal, watches), ...seenProblems(journal, watches)];
      return problems.map((problem) => `session ${id}: ${problem}`);
    });
  }

  #watched(session: CopilotSession, isMaker: boolean): CopilotSession {
    const watch: Watch = { isMaker, events: [], answered: [], sent: [] };
    this.#watches.set(session.sessionId, [...(this.#watches.get(session.sessionId) ?? []), watch]);
    session.on((event) => void watch.events.push(historyEvent(event)));
    const send = session.send.bind(session);
    const sendAndWait = session.sendAndWait.bind(session);
    // The SDK's own sendAndWait calls it, too.
    session.send = (given: string | MessageOptions) => {
      const options = optionsOf(given);
      watch.sent.push(options.prompt);
      return send(options);
    };
    session.sendAndWait = async (given: string | MessageOptions, timeout?: number) => {
      const options = optionsOf(given);
      const answer = await sendAndWait(options, timeout);
      watch.answered.push(options.prompt);
      return answer;
    };
    return session;
  }
}

const optionsOf = (given: string | MessageOptions): MessageOptions =>
  typeof given === 'string' ? { prompt: given } : given;

/** Every prompt that was answered is there, and none more often than it was sent. */
function promptProblems(journal: readonly HistoryEvent[], watches: readonly Watch[]): string[] {
  const written = countsOf(journal.flatMap(({ type, content = '' }) => (type === 'user.message' ? [content] : [])));
  const answered = countsOf(watches.flatMap((watch) => watch.answered));
  const sent = countsOf(watches.flatMap((watch) => watch.sent));
  return [...sent.keys()].flatMap((prompt) => {
    const [is, least, most] = [written, answered, sent].map((counts) => counts.get(prompt) ?? 0) as [
      number,
      number,
      number,
    ];
    if (is >= least && is <= most) return [];
    return [`the journal has the prompt ${prompt} ${is} times; it was sent ${most} times, and answered ${least} times`];
  });
}

/** From the first event that a client saw to its last one it saw each once, and in order. */
function seenProblems(journal: readonly HistoryEvent[], watches: readonly Watch[]): string[] {
  return watches.flatMap(({ isMaker, events }) => {
    const seen = new Set(events.map(({ id }) => id));
    const first = isMaker ? 0 : journal.findIndex(({ id }) => seen.has(id));
    const last = journal.findLastIndex(({ id }) => seen.has(id));
    if (first < 0 || last < 0) return [];
    const part = journal.slice(first, last + 1);
    const prompts = part.flatMap(({ type, content = '' }) => (type === 'user.message' ? [content] : []));
    return problemsOf(part, { prompts, failed: [], events });
  });
}

function countsOf(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}

/** What servers write for themselves, and tell nobody. */
const NOT_TOLD = 'session.usage_record';

/** Of a journal on the disk, whose last line may be half written. */
function eventsOf(journal: string): HistoryEvent[] {
  const lines = journal.split('\n');
  lines.pop();
  const events = lines.map((line) => historyEvent(JSON.parse(line) as Parameters<typeof historyEvent>[0]));
  return events.filter(({ type }) => type !== NOT_TOLD);
}
