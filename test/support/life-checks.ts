/** Checks a life of a gateway at its end (life.ts): what clients called and were told, against the journals. */
import { problemsOf } from './history.ts';
import { eventsOf, type LifeCall, type LifeClient } from './life.ts';
import type { Frame, JournalEvent } from './relay-world.ts';

export interface LifeFacts {
  readonly clients: readonly LifeClient[];
  readonly calls: readonly LifeCall[];
  readonly journal: (sessionId: string) => readonly JournalEvent[];
  /** Whether a prompt may be refused so; default: none. */
  readonly mayRefuse?: (call: LifeCall, error: NonNullable<Frame['error']>) => boolean;
  /** Whether nobody is left who knows of an acknowledged prompt that a server had not begun with; default: that is never so. */
  readonly mayLose?: (call: LifeCall) => boolean;
  /** Sessions of which a turn was aborted: of these, turns may end that have not begun. */
  readonly aborted?: ReadonlySet<string>;
  /** Whether the end of a turn may be missing in the journal: a home and its server can be lost at once, before that had written it. */
  readonly mayLoseEnds?: boolean;
  /** Whether clients may miss turns of others, because their replica could not find the home. */
  readonly mayMiss?: boolean;
}

/** What is wrong, in sentences; empty: nothing. */
export function problemsOfLife(facts: LifeFacts): string[] {
  const { calls, clients } = facts;
  return [
    ...calls.flatMap((call) => [...answerProblems(call), ...promptProblems(call, facts), ...turnProblems(call, facts)]),
    ...clients.flatMap((client) => toldProblems(client, facts)),
  ];
}

/** Each call gets one answer; one whose client has left meanwhile gets at most one. */
function answerProblems(call: LifeCall): string[] {
  const count = answersTo(call).length;
  if (count === 1 || (count === 0 && call.client.isGone)) return [];
  return [`${nameOf(call)} got ${count} answers`];
}

/** An acknowledged prompt is in the journal once, one that was not sent is not there, and none is there twice. Only what may be refused is. */
function promptProblems(call: LifeCall, { journal, mayRefuse, mayLose }: LifeFacts): string[] {
  const { prompt, client } = call;
  if (prompt === undefined) return [];
  const count = journal(client.sessionId).filter(({ data }) => contentOf(data) === prompt).length;
  const there = `${nameOf(call)} is in the journal ${count} times`;
  const [answer] = answersTo(call);
  // Whether it was sent is not known.
  if (answer === undefined || mayLose?.(call) === true) return count > 1 ? [there] : [];
  const { error } = answer;
  if (error === undefined) return count === 1 ? [] : [`${there}, and was acknowledged`];
  const { outcome } = (error.data ?? {}) as { outcome?: string };
  const most = outcome === 'Unknown' ? 1 : 0;
  const problems = count > most ? [`${there}, and was refused with ${error.message}`] : [];
  return mayRefuse?.(call, error) === true ? problems : [...problems, `${nameOf(call)} was refused: ${error.message}`];
}

/** Who sent an acknowledged prompt is told that it begins and that it ends, and of no end between the call and the begin. The journal has the end, too. */
function turnProblems(call: LifeCall, facts: LifeFacts): string[] {
  const { prompt, client, told } = call;
  const isTaken = answersTo(call)[0]?.result !== undefined;
  if (prompt === undefined || !isTaken || client.isGone || client.hasDetached) return [];
  const events = eventsOf(client);
  const { begin, end } = turnOf(events, prompt);
  if (begin < 0) return [`${nameOf(call)} did not begin for its client`];
  const problems = end < 0 ? [`${nameOf(call)} did not end for its client`] : [];
  if (facts.aborted?.has(client.sessionId) === true) return problems;
  if (facts.mayLoseEnds !== true && !hasEnd(facts.journal(client.sessionId), prompt))
    problems.push(`${nameOf(call)} has no end in the journal`);
  if (call.isSteering === true || isInTurn(call, facts)) return problems;
  const early = events.slice(told, begin).some((event) => event?.type === 'session.idle');
  return early ? [...problems, `${nameOf(call)} ended for its client before it began`] : problems;
}

/** Whether the journal has the end of the turn that this prompt began, before the next one. */
function hasEnd(journal: readonly JournalEvent[], prompt: string): boolean {
  const begin = journal.findIndex(({ data }) => contentOf(data) === prompt);
  const next = journal.slice(begin + 1).find(({ type }) => type === 'user.message' || type === 'assistant.turn_end');
  return next?.type === 'assistant.turn_end';
}

/** Whether a turn of its client, or one that this sees, runs as it calls: the end of that is to come. */
function isInTurn({ client, told, id }: LifeCall, { calls }: LifeFacts): boolean {
  const events = eventsOf(client);
  const before = events.slice(0, told).map((event) => event?.type);
  if (before.lastIndexOf('user.message') > before.lastIndexOf('session.idle')) return true;
  return calls.some((other) => {
    if (other.client !== client || other.prompt === undefined || other.id >= id) return false;
    const { end } = turnOf(events, other.prompt);
    return end < 0 || end >= told;
  });
}

/** Each durable event comes once and in order, to who was there before the first prompt from there on, to others from the first prompt that they see. No error comes, and no connection is cut. */
function toldProblems(client: LifeClient, { journal, mayMiss = false }: LifeFacts): string[] {
  const named = (problems: readonly string[]) => problems.map((problem) => `${client.name}: ${problem}`);
  const events = eventsOf(client).flatMap((event) => (event === undefined ? [] : [event]));
  const ids = new Set(events.map(({ id }) => id));
  const written = journal(client.sessionId).map(({ id, type, data }) => ({ id, type, content: contentOf(data) }));
  const first = client.isFirst ? 0 : written.findIndex(({ id, type }) => type === 'user.message' && ids.has(id));
  const mustHaveAll = !client.isGone && !client.hasDetached && !mayMiss;
  const expected = written
    .slice(first < 0 ? written.length : first)
    .filter(({ id, type }) => ids.has(id) || (mustHaveAll && type !== 'session.error'));
  const prompts = expected.flatMap(({ type, content = '' }) => (type === 'user.message' ? [content] : []));
  const problems = problemsOf(expected, { prompts, failed: [], events });
  // Also what is in no journal, because it was lost with a server.
  const shown = events.filter(({ type }) => type === 'user.message' || type === 'assistant.message');
  if (new Set(shown.map(({ id }) => id)).size < shown.length) problems.push('a message came twice');
  // What its replica says to it after its own end is heard by nobody.
  if (client.isGone) return named(problems);
  if (events.some(({ type }) => type === 'session.error')) problems.push('an error came');
  if (client.end.cuts.length > 0) problems.push(`it was cut: ${JSON.stringify(client.end.cuts)}`);
  return named(problems);
}

/** Where a turn begins and ends among the events of its client. */
function turnOf(events: ReturnType<typeof eventsOf>, prompt: string): { readonly begin: number; readonly end: number } {
  const begin = events.findIndex((event) => event?.type === 'user.message' && event.content === prompt);
  const end = begin < 0 ? -1 : events.findIndex((event, at) => at > begin && event?.type === 'session.idle');
  return { begin, end };
}

function answersTo({ client, id }: LifeCall): Frame[] {
  return client.end.received.filter((frame) => frame.id === id && frame.method === undefined);
}

function contentOf(data: object): string | undefined {
  return (data as { content?: string }).content;
}

function nameOf({ client, method, prompt, id }: LifeCall): string {
  return `${method} ${prompt ?? id} of ${client.name}`;
}
