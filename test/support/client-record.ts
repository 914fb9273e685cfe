/** Notes what a client of the SDK and the gateway say to each other, at the SDK's own connection. */
import type { CopilotClient } from '@github/copilot-sdk';
import type { Socket } from 'node:net';
import { FrameDecoder } from '../../src/copilot/index.ts';
import type { HistoryEvent } from './history.ts';
import { historyEvent } from './watched.ts';

/** What a client saw of a session from when it made or resumed it until it left. */
export interface View {
  readonly isMaker: boolean;
  readonly events: HistoryEvent[];
  /** Whether it still gets events. */
  isOpen: boolean;
  /** Id of the last event that the journal had before the client left: it was to see all until there. */
  until?: string | undefined;
}

/** A session, with what all clients did and saw. */
export interface SessionRecord {
  readonly views: View[];
  /** Prompts that were sent: of some it is not known what became of them. */
  readonly sent: string[];
  readonly acknowledged: string[];
}

type Event = Parameters<typeof historyEvent>[0];

/** A message of JSON-RPC. */
interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly sessionId?: string; readonly prompt?: string; readonly event?: Event };
  readonly error?: { readonly message: string };
}

/** Of the library that the SDK uses. */
interface Connection {
  trace(level: 1, tracer: { log: (said: Said) => void }, options: { traceFormat: 'json' }): Promise<void>;
  onClose(listener: () => void): void;
  onDispose(listener: () => void): void;
}

interface Said {
  readonly type: string;
  readonly message: Message;
}

/** How events begin. */
const EVENT = '{"jsonrpc":"2.0","method":"session.event"';

export class ClientRecord {
  readonly #sessions: Map<string, SessionRecord>;
  readonly #problems: string[];
  /** Requests without an answer, each with the view that it opens. */
  readonly #asked = new Map<Message['id'], Message & { readonly view?: View }>();
  readonly #answered = new Set<Message['id']>();
  #hasLeft = false;
  /** Of each session, the views that are open. */
  readonly #open = new Map<string, View[]>();

  readonly #isNew: (sessionId: string) => boolean;

  /** From now on. `problems` gets answers that nobody had asked for. `isNew`: a session has no journal yet. */
  constructor(
    client: CopilotClient,
    sessions: Map<string, SessionRecord>,
    problems: string[],
    isNew: (sessionId: string) => boolean,
  ) {
    this.#sessions = sessions;
    this.#problems = problems;
    this.#isNew = isNew;
    const { connection, socket } = client as unknown as { connection: Connection; socket: Socket };
    // The library drops the first one of two answers that come together.
    const decoder = new FrameDecoder((body) => this.#count(body), { maxBodyBytes: 2 ** 30 });
    socket.on('data', (chunk: Buffer) => decoder.push(chunk));
    const log = ({ type, message }: Said): void => {
      if (type === 'send-request') this.#ask(message);
      if (type === 'receive-response') this.#take(message);
      if (type === 'receive-notification') this.#see(message);
    };
    void connection.trace(1, { log }, { traceFormat: 'json' });
    const leave = (): void => {
      this.#hasLeft = true;
      this.#asked.clear();
      for (const id of this.#open.keys()) this.#close(id);
    };
    connection.onClose(leave);
    connection.onDispose(leave);
  }

  /** Requests that still wait for their answers, as long as it is connected. */
  get waiting(): string[] {
    return Array.from(this.#asked.values(), ({ method }) => String(method));
  }

  /** Views of sessions that still get events. */
  get open(): (readonly [string, View])[] {
    return [...this.#open].flatMap(([id, views]) => views.map((view) => [id, view] as const));
  }

  #ask(message: Message): void {
    const { id, method, params: { sessionId, prompt = '' } = {} } = message;
    if (sessionId !== undefined && (method === 'session.create' || method === 'session.resume')) {
      // Servers go on with a session of this id, if there is one.
      const isMaker = method === 'session.create' && this.#isNew(sessionId);
      const view = { isMaker, events: [], isOpen: true };
      this.#open.set(sessionId, [...(this.#open.get(sessionId) ?? []), view]);
      this.#asked.set(id, { ...message, view });
      return;
    }
    this.#asked.set(id, message);
    if (sessionId !== undefined && method === 'session.send') this.#session(sessionId).sent.push(prompt);
  }

  #take({ id, error }: Message): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (asked === undefined) return;
    const { method, view, params: { sessionId, prompt = '' } = {} } = asked;
    if (sessionId === undefined) return;
    if (view !== undefined) return this.#attach(sessionId, view, error === undefined);
    // Also who must no longer use it is told so.
    if (error?.message.includes('Session not found')) this.#close(sessionId);
    if (error !== undefined) return;
    if (method === 'session.send') this.#session(sessionId).acknowledged.push(prompt);
    if (method === 'session.detach' || method === 'session.delete') this.#close(sessionId);
  }

  /** Answers are counted as they come, before anything is made of them. */
  #count(body: Buffer): void {
    if (this.#hasLeft || body.toString('latin1', 0, EVENT.length) === EVENT) return;
    const { id, method } = JSON.parse(body.toString()) as Message;
    if (method !== undefined) return;
    if (!this.#asked.has(id) || this.#answered.has(id))
      this.#problems.push(`an answer came that nobody had asked for, or a second time: ${id}`);
    this.#answered.add(id);
  }

  #see({ method, params: { sessionId = '', event } = {} }: Message): void {
    if (method !== 'session.event' || event === undefined) return;
    for (const view of this.#open.get(sessionId) ?? []) view.events.push(historyEvent(event));
  }

  /** The call that was to open the view is answered. */
  #attach(sessionId: string, view: View, isDone: boolean): void {
    if (!isDone) {
      const others = this.#open.get(sessionId)?.filter((each) => each !== view) ?? [];
      this.#open.set(sessionId, others);
      return;
    }
    for (const each of this.#open.get(sessionId) ?? []) each.isOpen = each === view;
    this.#open.set(sessionId, [view]);
    // The same id may have been that of a session which was deleted.
    if (view.isMaker) this.#sessions.delete(sessionId);
    this.#session(sessionId).views.push(view);
  }

  #close(sessionId: string): void {
    for (const view of this.#open.get(sessionId) ?? []) view.isOpen = false;
    this.#open.delete(sessionId);
  }

  #session(id: string): SessionRecord {
    const found = this.#sessions.get(id) ?? { views: [], sent: [], acknowledged: [] };
    this.#sessions.set(id, found);
    return found;
  }
}
