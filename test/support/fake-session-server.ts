/** The sessions of a fake server: their journals in the server's own form, and the methods that read them. */
import type { FakeClock } from './fake-clock.ts';
import type { FakeServer, Received } from './fake-network.ts';

interface FakeSession {
  readonly startTime: string;
  modifiedTime: string;
  readonly journal: { type: string; id: string; data: object; timestamp: string }[];
  labels?: Record<string, string>;
  loaded: boolean;
}

type Answer = { result: unknown } | { error: { code: number; message: string } } | undefined;

export class FakeSessions {
  readonly #clock: FakeClock;
  readonly #server: FakeServer;
  readonly #sessions = new Map<string, FakeSession>();
  #lastEvent = 0;
  /** Bytes of each session's files beside its journal; no event is sent for them. */
  fileBytes = 0;
  /** How far the server's clock is ahead of the test's, in ms. */
  skewMs = 0;
  /** Writes change no mtime, as within one tick of a coarse clock. */
  coarse = false;
  /** Answers that a session was deleted, and keeps it. */
  keepsDeleted = false;

  constructor(server: FakeServer, clock: FakeClock) {
    this.#server = server;
    this.#clock = clock;
    Object.assign(server.answers, {
      ping: () => ({
        result: { protocolVersion: 3, timestamp: new Date(this.#clock.now() + this.skewMs).toISOString() },
      }),
      'sessions.list': () => ({
        result: {
          sessions: [...this.#sessions].map(([sessionId, { startTime, modifiedTime }]) => ({
            sessionId,
            startTime,
            modifiedTime,
            summary: 'the words of the user',
          })),
        },
      }),
      'sessions.getSizes': () => ({
        result: {
          sizes: Object.fromEntries(
            [...this.#sessions].map(([id, { journal }]) => [id, journal.length * 100 + this.fileBytes]),
          ),
        },
      }),
      'sessions.readPersistedEvents': (request: Received) => this.#read(request),
      'sessions.getClientMetadata': ({ params }: Received) => ({
        result: stringsOf(params, 'sessionIds').map((sessionId) => {
          const session = this.#sessions.get(sessionId);
          return session === undefined
            ? { sessionId, status: 'notFound' }
            : { sessionId, status: 'ok', metadata: { ...session.labels } };
        }),
      }),
      'session.metadata.updateClientMetadata': ({ params }: Received): Answer => {
        const session = this.#sessions.get(String(params?.['sessionId']));
        if (session?.loaded !== true) return { error: { code: -32603, message: 'Session not found' } };
        session.labels = { ...session.labels, ...(params?.['set'] as Record<string, string>) };
        return { result: session.labels };
      },
      'sessions.getMetadata': ({ params }: Received) => {
        const sessionId = String(params?.['sessionId']);
        const { startTime, modifiedTime } = this.#sessions.get(sessionId) ?? {};
        return { result: startTime === undefined ? {} : { session: { sessionId, startTime, modifiedTime } } };
      },
      'session.metadata.activity': ({ params }: Received): Answer => {
        const session = this.#sessions.get(String(params?.['sessionId']));
        if (session?.loaded !== true) return { error: { code: -32603, message: 'Session not found' } };
        return { result: { hasActiveWork: session.journal.at(-1)?.type === 'assistant.turn_start' } };
      },
      'sessions.close': ({ params }: Received) => {
        this.unload(String(params?.['sessionId']));
        return { result: {} };
      },
      'session.delete': ({ params }: Received) => {
        const id = String(params?.['sessionId']);
        if (!this.#sessions.has(id)) return { result: { success: false, error: `Session file not found for ${id}` } };
        if (!this.keepsDeleted) this.#sessions.delete(id);
        return { result: { success: true } };
      },
    });
  }

  /** A prompt arrives; it creates or loads the session if necessary. */
  prompt(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) this.write(id, 'session.start');
    else if (!session.loaded) this.write(id, 'session.resume');
    this.write(id, 'user.message', { content: 'the words of the user' });
    this.write(id, 'assistant.turn_start');
  }

  /** The model answers the prompt, for ten tokens in and five out. */
  answer(id: string): void {
    this.write(id, 'session.usage_record', { usage: { inputTokens: 10, outputTokens: 5, initiator: 'user' } });
    this.write(id, 'assistant.turn_end');
  }

  /** A whole turn. */
  turn(id: string): void {
    this.prompt(id);
    this.answer(id);
  }

  unload(id: string): void {
    const session = this.#sessions.get(id);
    if (session?.loaded !== true) return;
    const turns = session.journal.filter(({ type }) => type === 'session.usage_record').length;
    const modelMetrics = { 'test-model': { usage: { inputTokens: turns * 10, outputTokens: turns * 5 } } };
    this.write(id, 'session.shutdown', { accountingSnapshot: { totalUserRequests: turns, modelMetrics } });
    session.loaded = false;
  }

  /** Its directory is removed without the server. */
  lose(id: string): void {
    this.#sessions.delete(id);
  }

  /** A client creates a session on a full volume: clients are notified, and nothing is listed. */
  hint(): void {
    this.#server.send({ jsonrpc: '2.0', method: 'session.lifecycle', params: { type: 'session.created' } });
  }

  /** Appends an event to a session's journal and notifies every client. */
  write(id: string, type: string, data: object = {}): void {
    this.#clock.jumpWallClock(1);
    const timestamp = new Date(this.#clock.now()).toISOString();
    const session = this.#sessions.get(id) ?? { startTime: timestamp, modifiedTime: '', journal: [], loaded: true };
    this.#lastEvent += 1;
    session.journal.push({ type, id: `e${this.#lastEvent}`, data, timestamp });
    if (!this.coarse) session.modifiedTime = timestamp;
    session.loaded = true;
    this.#sessions.set(id, session);
    this.#server.send({ jsonrpc: '2.0', method: 'session.lifecycle', params: { type: 'session.updated' } });
  }

  #read({ params }: Received): Answer {
    const { sessionId, max, cursor } = params as { sessionId: string; max: number; cursor?: string };
    const journal = this.#sessions.get(sessionId)?.journal;
    if (journal === undefined) return { error: { code: -32603, message: 'Persisted event journal not found' } };
    const end = cursor === undefined ? journal.length : Number(cursor);
    const from = Math.max(0, end - max);
    return {
      result: { events: journal.slice(from, end), cursor: String(from), hasMore: from > 0, cursorStatus: 'ok' },
    };
  }
}

function stringsOf(params: Received['params'], name: string): string[] {
  const value = params?.[name];
  if (!Array.isArray(value)) throw new Error(`the request has no list "${name}"`);
  return value.map(String);
}
