/** The disk of a model server: the journals of its sessions, which a process that dies leaves without what it wrote last. */
import { journalEvent, type JournalEvent } from './relay-world.ts';

/** For how long what clients were told may not be on the disk, in ms. */
const UNWRITTEN_MS = 150;

interface Entry {
  readonly event: JournalEvent;
  /** When it was written, ms since the epoch. */
  readonly at: number;
}

export class ModelDisk {
  readonly #clock: { now(): number };
  readonly #journals = new Map<string, readonly Entry[]>();
  #events = 0;

  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  /** Makes an event. Ids are those of this disk, so that a life is the same each time. */
  event(type: string, data: object): JournalEvent {
    this.#events += 1;
    const timestamp = new Date(this.#clock.now()).toISOString();
    return { ...journalEvent(type, data), id: `e${this.#events}`, timestamp };
  }

  /** `isSafe`: it is on the disk at once. */
  write(sessionId: string, event: JournalEvent, isSafe = false): void {
    const at = this.#clock.now() - (isSafe ? UNWRITTEN_MS : 0);
    this.#journals.set(sessionId, [...this.#of(sessionId), { event, at }]);
  }

  journal(sessionId: string): JournalEvent[] {
    return this.#of(sessionId).map(({ event }) => event);
  }

  /** When its journal was last written to; undefined: there is none. */
  modifiedAt(sessionId: string): Date | undefined {
    const last = this.#of(sessionId).at(-1);
    return last && new Date(last.at);
  }

  /** The session is closed in good order. */
  flush(sessionId: string): void {
    const journal = this.#of(sessionId);
    this.#journals.set(
      sessionId,
      journal.map(({ event, at }) => ({ event, at: at - UNWRITTEN_MS })),
    );
  }

  /** The process ends. */
  loseUnwritten(): void {
    const since = this.#clock.now() - UNWRITTEN_MS;
    for (const [id, journal] of this.#journals) {
      const lost = journal.findIndex(({ at }) => at > since);
      if (lost >= 0) this.#journals.set(id, journal.slice(0, lost));
    }
  }

  /** The permission that the session waits for, as far as is written; undefined: none. */
  asked(sessionId: string): string | undefined {
    const journal = this.journal(sessionId);
    const asked = journal.findLastIndex(({ type }) => type === 'permission.requested');
    const ends = ['permission.completed', 'abort', 'assistant.turn_end'];
    if (asked < 0 || journal.slice(asked).some(({ type }) => ends.includes(type))) return undefined;
    const data: { requestId?: string } | undefined = journal[asked]?.data;
    return data?.requestId;
  }

  #of(sessionId: string): readonly Entry[] {
    return this.#journals.get(sessionId) ?? [];
  }
}
