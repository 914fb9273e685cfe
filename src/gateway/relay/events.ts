/** Which events of a session the relay looks into, and which a slow client can do without. */
import { isObject, parseMessage } from '../../copilot/index.ts';

/** Events that a client waits for or answers; all others pass as bytes. */
const TRACKED = new Set([
  'user.message',
  'assistant.turn_start',
  'session.idle',
  'session.shutdown',
  'permission.requested',
  'permission.completed',
  'external_tool.requested',
  'external_tool.completed',
  'elicitation.requested',
  'elicitation.completed',
  'command.execute',
  'command.completed',
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
  /** What declares it, for `One`. */
  readonly list?: 'tools' | 'commands';
  /** The field of the event's data with the name that is declared. */
  readonly name?: string;
  /** The call, and what it says beside session and request. */
  readonly denial: { readonly method: string; readonly params: object };
}

const NOBODY = 'No client was there to answer in time.';

const WAITS: Readonly<Record<string, WaitKind>> = {
  'permission.requested': {
    audience: 'All',
    denial: {
      method: 'session.permissions.handlePendingPermissionRequest',
      params: { result: { kind: 'reject', feedback: NOBODY } },
    },
  },
  'external_tool.requested': {
    audience: 'One',
    list: 'tools',
    name: 'toolName',
    denial: { method: 'session.tools.handlePendingToolCall', params: { error: NOBODY } },
  },
  'elicitation.requested': {
    audience: 'All',
    denial: { method: 'session.ui.handlePendingElicitation', params: { result: { action: 'cancel' } } },
  },
  'command.execute': {
    audience: 'One',
    list: 'commands',
    name: 'commandName',
    denial: { method: 'session.commands.handlePendingCommand', params: { error: NOBODY } },
  },
};
/** Events by which a session asks its clients something. */
export const WAIT_TYPES: readonly string[] = Object.keys(WAITS);
const ENDS = new Set(['permission.completed', 'external_tool.completed', 'elicitation.completed', 'command.completed']);

/** What an event asks of the clients; undefined: nothing. A permission that a hook has decided is only told. */
export function waitOf(type: string, data: Readonly<Record<string, unknown>>): WaitKind | undefined {
  return data['resolvedByHook'] !== true && Object.hasOwn(WAITS, type) ? WAITS[type] : undefined;
}

/** Whether an event says that something which the session waited for has been answered. */
export function endsWait(type: string): boolean {
  return ENDS.has(type);
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
