/** Reading a session's journal, `events.jsonl`, through its server. */
import { call, isObject, stringOf, unexpected } from './answer.ts';
import type { CallOptions, Requester } from './client.ts';
import type { SessionUsage } from './session.ts';

/** What is read of one event of a journal: no text of the user or the model. */
export interface JournalEvent {
  readonly id: string;
  /** Such as `assistant.turn_start`. */
  readonly type: string;
  /** When it was written, ms since the epoch. */
  readonly at: number;
  /** The sub-agent whose event it is; undefined for the session's own. */
  readonly agent?: string;
  /** What it adds to the session's usage, or the total so far. */
  readonly usage?: EventUsage;
}

/** `one`: of a single model call. `total`: of the session until this event. */
export interface EventUsage extends SessionUsage {
  readonly of: 'one' | 'total';
}

/** Part of a journal, oldest event first. */
export interface JournalPage {
  readonly events: readonly JournalEvent[];
  /** For the page before this one, once. An unused cursor costs the server nothing. */
  readonly cursor: string;
  /** Whether there are older events. */
  readonly hasMore: boolean;
}

/** Where in a journal to read. */
export interface JournalRange {
  readonly sessionId: string;
  /** The most events to read, 1 to 1000. The server sends fewer if they take more than about 1 MiB. */
  readonly max: number;
  /** Of the page after this one; undefined for the journal's end. */
  readonly cursor?: string | undefined;
}

const ID = /^[ -~]{1,256}$/;
const TYPE = /^[a-z_.]{1,64}$/;

/**
 * `sessions.readPersistedEvents`, backward: a page of a session's journal, which the server reads from the file's end. It
 * loads nothing and keeps no session loaded.
 * @throws RpcError if there is no such journal, or a line within the page is damaged.
 */
export async function readJournal(
  server: Requester,
  { sessionId, max, cursor }: JournalRange,
  options: CallOptions,
): Promise<JournalPage> {
  const method = 'sessions.readPersistedEvents';
  const params = { sessionId, direction: 'backward', max, ...(cursor !== undefined && { cursor }) };
  const answer = await call(server, method, params, options);
  const { events, hasMore, cursorStatus } = answer;
  if (!Array.isArray(events)) throw unexpected(server, method, 'events', events);
  if (typeof hasMore !== 'boolean') throw unexpected(server, method, 'hasMore', hasMore);
  if (cursorStatus !== 'ok') throw unexpected(server, method, 'cursorStatus', cursorStatus);
  return {
    events: events.flatMap((event: unknown) => eventOf(event) ?? []),
    cursor: stringOf(server, method, 'cursor', answer['cursor'], ID),
    hasMore,
  };
}

/** Undefined for what is no event. The agent can write to its own journal, which must not keep other events from being read. */
function eventOf(value: unknown): JournalEvent | undefined {
  if (!isObject(value)) return undefined;
  const { id, type, timestamp, agentId } = value;
  const data = isObject(value['data']) ? value['data'] : {};
  const at = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  if (!isMatch(id, ID) || !isMatch(type, TYPE) || Number.isNaN(at)) return undefined;
  const agent = [agentId, data['parentToolCallId']].find((name) => isMatch(name, ID));
  const usage = usageOf(type, data);
  return { id, type, at, ...(agent !== undefined && { agent }), ...(usage !== undefined && { usage }) };
}

function usageOf(type: string, data: Record<string, unknown>): EventUsage | undefined {
  if (type === 'session.usage_record') return oneCall(data['usage']);
  if (type === 'session.shutdown' || type === 'session.usage_checkpoint') return total(data['accountingSnapshot']);
  return undefined;
}

/** One model call. The first of a prompt has the initiator `user`; those after tool calls and of sub-agents have others. */
function oneCall(usage: unknown): EventUsage | undefined {
  if (!isObject(usage)) return undefined;
  const { inputTokens = 0, outputTokens = 0, initiator } = usage;
  if (!isCount(inputTokens) || !isCount(outputTokens)) return undefined;
  return { of: 'one', turns: initiator === 'user' ? 1 : 0, inputTokens, outputTokens };
}

function total(snapshot: unknown): EventUsage | undefined {
  if (!isObject(snapshot)) return undefined;
  const { totalUserRequests: turns, modelMetrics } = snapshot;
  if (!isCount(turns) || !isObject(modelMetrics)) return undefined;
  let [inputs, outputs] = [0, 0];
  for (const metrics of Object.values(modelMetrics)) {
    const usage = isObject(metrics) && isObject(metrics['usage']) ? metrics['usage'] : {};
    const { inputTokens = 0, outputTokens = 0 } = usage;
    if (!isCount(inputTokens) || !isCount(outputTokens)) return undefined;
    inputs += inputTokens;
    outputs += outputTokens;
  }
  return { of: 'total', turns, inputTokens: inputs, outputTokens: outputs };
}

function isMatch(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
