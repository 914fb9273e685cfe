/** Checks what a client was told of a session against its journal: nothing is lost, and nothing comes twice. */

/** An event, as far as it is checked. */
export interface HistoryEvent {
  readonly id: string;
  readonly type: string;
  /** Text of a prompt. */
  readonly content?: string | undefined;
  /** When it happened, in ISO 8601. */
  readonly at?: string | undefined;
}

/** What one client did with a session that it made, and saw of it. */
export interface Seen {
  /** Texts of the prompts that were acknowledged to it, in order. */
  readonly prompts: readonly string[];
  /** Prompts of which the call failed, or whose answer was that to another one. */
  readonly failed: readonly string[];
  /** The events that it got, in order. */
  readonly events: readonly HistoryEvent[];
}

/** Events of the server's process, and questions, which are put to who can answer them for as long as they are open. */
const NOT_CHECKED = /^(session\.(shutdown|resume)|.+\.requested)$/;

/**
 * What servers may tell in another order than they write it. The light runtime: of a tool that it goes on with after a restart, when the tool
 * has run; and, seen once each on a busy machine, that a client has answered, when the tool is done, that a hook has ended, when the prompt
 * is there, and that a notice of the mode was given, when the turn has ended. Both: what a sub-agent does, which runs beside the rest (2 of 30
 * runs). The gateway passes events on as they come.
 */
const IN_ANY_ORDER =
  /^(tool\.execution_start|external_tool\.completed|hook\.end|session\.mode_notice_delivered|subagent\..+)$/;

/** What is wrong, in sentences; empty: nothing. Events before the first prompt are not looked at: a client may listen later. */
export function problemsOf(journal: readonly HistoryEvent[], { prompts, failed, events }: Seen): string[] {
  const problems = failed.map((prompt) => `the prompt ${prompt} did not get its answer`);
  const written = journal.flatMap(({ type, content = '' }) => (type === 'user.message' ? [content] : []));
  if (written.join() !== prompts.join()) {
    problems.push(`the journal has the prompts ${written.join()}, and acknowledged were ${prompts.join()}`);
  }
  const begin = journal.findIndex(({ type }) => type === 'user.message');
  const expected = journal.slice(begin < 0 ? journal.length : begin).filter(({ type }) => !NOT_CHECKED.test(type));
  const ids = new Set(expected.map(({ id }) => id));
  // What was shown and lost with a server is in no journal: it comes again under another id.
  const told = events.filter(({ id }) => ids.has(id)).map(({ id }) => id);
  const got = new Set(told);
  for (const { id, type } of expected) if (!got.has(id)) problems.push(`the event ${type} ${id} did not come`);
  const twice = told.filter((id, index) => told.indexOf(id) < index);
  const typeOf = (id: string) => expected.find((event) => event.id === id)?.type;
  if (twice.length > 0) problems.push(`${twice.length} events came twice: ${twice.map(typeOf).join()}`);
  const ordered = expected.filter(({ type }) => !IN_ANY_ORDER.test(type));
  const places = new Map(ordered.map((event, place) => [event.id, { ...event, place }]));
  const came = [...got].flatMap((id) => places.get(id) ?? []);
  for (const [index, later] of came.entries()) {
    // What happens at once is written in any order: what came in the order in which it happened is well, too.
    const isWell = (each: Placed) => isAsHappened(each, later) || isEndOfAborted(each, later);
    const early = came.slice(0, index).find((each) => each.place > later.place && !isWell(each));
    if (early === undefined) continue;
    const what = `${early.type} ${early.id} before ${later.type} ${later.id}`;
    problems.push(`events came in another order than that of the journal: ${what}`);
    break;
  }
  return problems;
}

/** An event, and which one of the journal it is. */
type Placed = HistoryEvent & { readonly place: number };

/**
 * The light runtime may tell the end of a turn before the `abort` that it has written right before it (1 of 25 aborts on a busy machine, without a
 * gateway; the CLI: none of 25).
 */
function isEndOfAborted(first: Placed, next: Placed): boolean {
  return first.type === 'assistant.turn_end' && next.type === 'abort' && first.place === next.place + 1;
}

function isAsHappened({ at: first }: HistoryEvent, { at: next }: HistoryEvent): boolean {
  return first !== undefined && next !== undefined && first <= next;
}
