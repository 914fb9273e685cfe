/** Notes what the gateway and a server say to each other of each session, so that a failure that chance brings can be understood from its text alone. */
import { dialTcpGathering, isObject } from '../../src/copilot/index.ts';
import { tappedDial } from './tapped-dial.ts';

interface Frame {
  /** Ms since the epoch. */
  readonly at: number;
  readonly text: string;
}

/** Frames that are remembered of one session. */
const REMEMBERED = 4000;
/** Frames that are shown from before the first that is of interest. */
const BEFORE = 20;
/** Events that say nothing of the course of a turn. */
const PIECE = /_delta$|^model\.|^system\.message$/;
/** What identifies a message, in the order in which it is shown. */
const SHOWN = ['requestId', 'messageId', 'toolCallId', 'messageIds', 'prompt', 'content', 'message', 'cursor'];
const LONGEST = 300;

/** Of all connections that are made by its `dial`. */
export class RecordedFrames {
  readonly #frames = new Map<string, Frame[]>();
  /** Of a call, the session and method. */
  readonly #calls = new Map<string, { readonly session: string; readonly method: string }>();
  #connections = 0;

  /** Connects to a server, and notes what is said. */
  readonly dial = tappedDial(dialTcpGathering, () => {
    this.#connections += 1;
    const connection = this.#connections;
    return {
      sent: (body) => this.#note(connection, '>', body),
      got: (body) => this.#note(connection, '<', body),
      closed: () => this.mark(`connection ${connection} is closed`),
    };
  });

  /** Something that concerns all sessions. */
  mark(text: string): void {
    for (const frames of this.#frames.values()) frames.push({ at: Date.now(), text: `--- ${text}` });
  }

  /** What was said of the session, a line each, from shortly before the first that has `word`; all, where none has it. */
  of(sessionId: string, word = ''): string {
    const frames = this.#frames.get(sessionId) ?? [];
    const at = frames.findIndex(({ text }) => text.includes(word));
    const shownFrames = frames.slice(Math.max(0, at - BEFORE));
    return shownFrames.map(({ at: time, text }) => `${new Date(time).toISOString().slice(11)} ${text}`).join('\n');
  }

  #note(connection: number, way: string, body: Buffer): void {
    const { id, method, params, result, error } = JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
    const isSent = way === '>';
    const isAskedByGateway = isSent === (method !== undefined);
    const call = `${connection} ${isAskedByGateway} ${String(id)}`;
    if (typeof method === 'string') {
      const session = isObject(params) ? params['sessionId'] : undefined;
      if (typeof session !== 'string') return;
      if (id !== undefined) this.#calls.set(call, { session, method });
      const event = isObject(params) && isObject(params['event']) ? params['event'] : undefined;
      if (event !== undefined && PIECE.test(String(event['type']))) return;
      const text =
        event === undefined
          ? `${method} ${shown(params)}`
          : `${String(event['type'])} ${String(event['id'])} ${shown(event['data'])}`;
      return this.#keep(session, `${connection}${way} ${id === undefined ? '' : `#${JSON.stringify(id)} `}${text}`);
    }
    const asked = this.#calls.get(call);
    if (asked === undefined) return;
    this.#calls.delete(call);
    const text = error === undefined ? shownResult(result) : `ERROR ${JSON.stringify(error)}`;
    this.#keep(asked.session, `${connection}${way} #${String(id)} ${asked.method}: ${text}`);
  }

  #keep(session: string, text: string): void {
    const frames = this.#frames.get(session) ?? [];
    this.#frames.set(session, frames);
    frames.push({ at: Date.now(), text });
    if (frames.length > REMEMBERED) frames.shift();
  }
}

/** Of a page of a journal, what the events are: what is in them would fill the log. */
function shownResult(result: unknown): string {
  const events: unknown = isObject(result) ? result['events'] : undefined;
  if (!Array.isArray(events)) return short(JSON.stringify(result));
  const one = (event: unknown): string => {
    const { type, data } = isObject(event) ? event : {};
    const { requestId, toolCallId } = isObject(data) ? data : {};
    return [type, requestId, toolCallId].flatMap((part) => (typeof part === 'string' ? [part] : [])).join(' ');
  };
  return events.map(one).join(', ');
}

function shown(params: unknown): string {
  if (!isObject(params)) return '';
  const found = SHOWN.flatMap((name) =>
    params[name] === undefined ? [] : [`${name}=${short(JSON.stringify(params[name]))}`],
  );
  return found.join(' ');
}

function short(text: string | undefined): string {
  return (text ?? '').slice(0, LONGEST);
}
