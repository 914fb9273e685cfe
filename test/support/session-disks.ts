// Servers of a RelayWorld that have sessions on their disks, and answer about them by themselves.
import type { Frame, RelayWorld, ServerEnd } from './relay-world.ts';

/** What is kept of a session. */
export interface StoredSession {
  /** When it was used last. */
  readonly modifiedTime: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

const idOf = ({ params }: Frame): string => String(params?.['sessionId']);

/** By the address of the server, and the id of the session. */
export class SessionDisks {
  readonly #disks = new Map<string, Map<string, StoredSession>>();
  #uses = 0;

  constructor(world: RelayWorld) {
    const { answers } = world;
    answers.set('sessions.getMetadata', (end, frame) => {
      const session = this.of(end.host).get(idOf(frame));
      end.answer(frame.id, session === undefined ? {} : { session: { sessionId: idOf(frame), ...session } });
    });
    answers.set('sessions.getClientMetadata', (end, frame) => {
      const ids = (frame.params?.['sessionIds'] ?? []) as string[];
      const entries = ids.map((sessionId) => {
        const { metadata = {} } = this.of(end.host).get(sessionId) ?? {};
        return {
          sessionId,
          ...(this.of(end.host).has(sessionId) ? { status: 'ok', metadata } : { status: 'notFound' }),
        };
      });
      end.answer(frame.id, entries);
    });
    answers.set('session.metadata.updateClientMetadata', (end, frame) => {
      this.add(end.host, idOf(frame), frame.params?.['set'] as Record<string, string>);
      end.answer(frame.id, {});
    });
    for (const method of ['sessions.list', 'session.list'])
      answers.set(method, (end, frame) => end.answer(frame.id, { sessions: this.#list(end) }));
    answers.set('session.getLastId', (end, frame) => {
      const { sessionId } = this.#list(end)[0] ?? {};
      end.answer(frame.id, sessionId === undefined ? {} : { sessionId });
    });
    answers.set('session.create', (end, frame) => {
      this.add(end.host, idOf(frame));
      end.answer(frame.id, { sessionId: idOf(frame) });
    });
    for (const method of ['session.resume', 'session.send', 'session.getMessages', 'session.mode.get'])
      answers.set(method, (end, frame) => this.#used(end, frame));
    answers.set('session.delete', (end, frame) =>
      end.answer(frame.id, { success: this.of(end.host).delete(idOf(frame)) }),
    );
  }

  /** The sessions of a server. */
  of(host: string): Map<string, StoredSession> {
    const disk = this.#disks.get(host) ?? new Map<string, StoredSession>();
    this.#disks.set(host, disk);
    return disk;
  }

  /** The session was used on that server just now. */
  add(host: string, sessionId: string, metadata?: Readonly<Record<string, string>>): void {
    this.#uses += 1;
    const modifiedTime = new Date(Date.UTC(2026, 0, 1) + this.#uses * 1000).toISOString();
    const before = this.of(host).get(sessionId);
    this.of(host).set(sessionId, { ...before, modifiedTime, ...(metadata && { metadata }) });
  }

  #list(end: ServerEnd): ({ readonly sessionId: string } & StoredSession)[] {
    const sessions = Array.from(this.of(end.host), ([sessionId, session]) => ({ sessionId, ...session }));
    return sessions.toSorted((a, b) => b.modifiedTime.localeCompare(a.modifiedTime));
  }

  #used(end: ServerEnd, frame: Frame): void {
    const sessionId = idOf(frame);
    if (this.of(end.host).has(sessionId)) end.answer(frame.id, { sessionId, at: end.host });
    else end.refuse(frame.id, `Session not found: ${sessionId}`);
  }
}
