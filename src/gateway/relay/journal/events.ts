/** Which events of a session the relay looks into, and which a slow client can do without. */
import { isObject, parseMessage } from '../../../copilot/index.ts';
import { EVENT_LINES, type EventLine, type Lifetime } from '../questions/events.ts';

/** Events that a client waits for or answers; all others pass as bytes. */
const TRACKED = new Set([
  'user.message',
  'assistant.turn_start',
  'abort',
  'session.idle',
  'session.shutdown',
  ...EVENT_LINES.flatMap(([type, completed]) => [type, completed]),
]);

/** Pieces of what a later event has as a whole. No event that somebody waits for is among them. */
const PIECES = /^(assistant\.(message|streaming|reasoning)_delta|model\..+|tool\.execution_partial_result)$/;

/** Whether the relay has to parse events of this type. */
export function isTracked(type: string): boolean {
  return TRACKED.has(type);
}

/** Whether a client that reads slowly can do without events of this type. */
export function isPiece(type: string): boolean {
  return PIECES.test(type);
}

/** By this flag a client says that it answers whatever is asked by events. */
export const OBSERVES = 'observePromptEvents';

interface QueueLimits {
  readonly softQueueBytes: number;
  readonly hardQueueBytes: number;
}

/** What becomes of a frame for a client that has `queuedBytes` yet to read. */
export function admission(type: string | undefined, queuedBytes: number, limits: QueueLimits): 'Send' | 'Drop' | 'Cut' {
  const found = pieceAdmission(queuedBytes, limits);
  return found === 'Drop' && (type === undefined || !isPiece(type)) ? 'Send' : found;
}

/** The same for a frame that it can do without. */
export function pieceAdmission(
  queuedBytes: number,
  { softQueueBytes, hardQueueBytes }: QueueLimits,
): 'Send' | 'Drop' | 'Cut' {
  if (queuedBytes > hardQueueBytes) return 'Cut';
  return queuedBytes > softQueueBytes ? 'Drop' : 'Send';
}

/** What a session waits for: who is asked, and by which call the gateway answers when nobody can. */
export interface WaitKind {
  /** `All`: each attached client may answer. `One`: exactly one that has declared it, because each would do it. */
  readonly audience: 'All' | 'One';
  /** Whether a person decides it: that of the turn first, where several users share a session. */
  readonly isForPerson?: true;
  /** Whether a call of a client waits for it, so that the server takes no client that attaches: it is for those who are there. */
  readonly isOfCall?: true;
  /** What declares it, for `One`. */
  readonly list?: 'tools' | 'commands';
  /** The field of the event's data with the name that is declared. */
  readonly name?: string;
  /** The flag by which a client says that it will answer; undefined: an interest in the type does. For `All`. */
  readonly flag?: string;
  readonly lifetime: Lifetime;
  /** The call, and what it says beside session and request. */
  readonly denial: { readonly method: string; readonly params: object };
  /** The request by which the server asks the same once more, and the field that both have. */
  readonly twin?: { readonly method: string; readonly field: string };
}

const WAITS: ReadonlyMap<string, WaitKind> = new Map(EVENT_LINES.map((line) => [line[0], waitKindOf(line)]));
/** Events by which a session asks its clients something. */
export const WAIT_TYPES: readonly string[] = [...WAITS.keys()];
const ENDS = new Set(EVENT_LINES.map(([, completed]) => completed));

/** What an event asks of the clients; undefined: nothing. A permission that a hook has decided is only told. */
export function waitOf(type: string, data: Readonly<Record<string, unknown>>): WaitKind | undefined {
  const kind = data['resolvedByHook'] === true ? undefined : WAITS.get(type);
  // What a client has asked by a call is a part of no turn, though an agent or an MCP server asks by the same event.
  const isAsked =
    type === 'elicitation.requested' && data['elicitationSource'] === undefined && data['toolCallId'] === undefined;
  return kind !== undefined && isAsked ? { ...kind, lifetime: 'Call', isOfCall: true } : kind;
}

/** Whether an event says that something which the session waited for has been answered. */
export function endsWait(type: string): boolean {
  return ENDS.has(type);
}

function waitKindOf([, , audience, attendedBy, lifetime, reason, [method, params], twin]: EventLine): WaitKind {
  const denial = { method, params };
  if (audience !== 'All') {
    const [list, name] = audience;
    return { audience: 'One', list, name, lifetime, denial, ...(list === 'commands' && { isOfCall: true }) };
  }
  return {
    audience,
    lifetime,
    denial,
    ...(reason === 'Person' && { isForPerson: true }),
    ...(attendedBy.startsWith('request') && { flag: attendedBy }),
    ...(twin !== undefined && { twin: { method: twin[0], field: twin[1] } }),
  };
}

/** Whether an event concerns the process of the server, and not the session: a client is not told of one that it has missed. */
export function isOfProcess(type: string): boolean {
  return type === 'session.shutdown' || type === 'session.resume';
}

/** The event in the body of a `session.event` notification, and its type. */
export function eventIn(body: Buffer): {
  readonly type: string | undefined;
  readonly event: Readonly<Record<string, unknown>> | undefined;
} {
  const message = parseMessage(body);
  const event = 'params' in message && isObject(message.params) ? message.params['event'] : undefined;
  if (!isObject(event)) return { type: undefined, event: undefined };
  return { type: typeof event['type'] === 'string' ? event['type'] : undefined, event };
}
