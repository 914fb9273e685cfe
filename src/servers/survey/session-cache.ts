/** The cache of what is known of the sessions of one server. */
import {
  activityOf,
  journalState,
  type ClientMetadata,
  type JournalState,
  type SessionActivity,
  type SessionTimes,
  type UsageMark,
} from '../../copilot/index.ts';
import type { ServerSessions, SessionFacts } from './sessions.ts';
import { sameFacts, summaryOf } from './facts.ts';

/** What is kept of one session between polls. */
export interface SessionRecord {
  times: SessionTimes;
  /** `times`, as numbers. */
  startTime: number;
  modifiedTime: number;
  sizeBytes: number;
  /** The state when the journal was last read; undefined: it was not read yet. */
  journal: JournalState | undefined;
  /** When reading the journal was last tried, monotonic ms; -1: never. */
  readTriedAt: number;
  /** How often the connection was lost while the journal was read for the first time. */
  connectionLosses: number;
  /** The `times.modifiedTime` at which the journal was read; undefined: never. */
  readAt: string | undefined;
  /** The `times.modifiedTime` at which the journal was read a second time; undefined: never. */
  readAgainAt: string | undefined;
  /** Until when (monotonic ms) a journal that could not be read is skipped, unless it changes. */
  unreadableUntil: number | undefined;
  /** Usage and the event up to which it is known; undefined: not at all. */
  usage: UsageMark | undefined;
  /** The `times.modifiedTime` at which usage was updated. */
  usageAt: string | undefined;
  labels: ClientMetadata | undefined;
  /** As last published. */
  facts: SessionFacts | undefined;
}

/** An answer, and the ids of the sessions that differ from the one before. */
export interface Publication {
  readonly answer: ServerSessions;
  readonly changed: readonly string[];
}

const UNREAD: JournalState = journalState([]);

/**
 * What is known of the sessions of one server. It outlives connections: after a lost one only what has changed is read again. It
 * does no I/O; poll.ts makes the calls and stores the answers here.
 */
export class SessionCache {
  readonly #records = new Map<string, SessionRecord>();
  readonly #watched = new Set<string>();
  #startedAt: number;
  /** Whether anything was stored since the last publication: an idle server costs no walk through its sessions. */
  #dirty = true;
  #removed: string[] = [];
  #sizesDue = false;
  #labelsDue = false;
  #published: ServerSessions | undefined;

  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** When the server's process started, ms since the epoch. */
  set startedAt(at: number) {
    this.#startedAt = at;
    this.#dirty = true;
  }

  /** Returns whether it was not watched before. */
  watch(sessionId: string): boolean {
    const isNew = !this.#watched.has(sessionId);
    this.#watched.add(sessionId);
    return isNew;
  }

  unwatch(sessionId: string): void {
    this.#watched.delete(sessionId);
    this.#dirty = true;
  }

  get watched(): readonly string[] {
    return [...this.#watched];
  }

  isWatched(sessionId: string): boolean {
    return this.#watched.has(sessionId);
  }

  /** Stores a list. Whether it differs from the last one decides what else is read. */
  updateList(listed: readonly SessionTimes[]): void {
    let differs = false;
    for (const times of listed) {
      const record = this.#records.get(times.sessionId);
      if (record?.times.modifiedTime === times.modifiedTime && record.times.startTime === times.startTime) continue;
      differs = true;
      this.#update(record, times);
    }
    if (this.#records.size !== listed.length) {
      differs = true;
      const ids = new Set(listed.map(({ sessionId }) => sessionId));
      for (const id of this.#records.keys()) if (!ids.has(id)) this.#remove(id);
    }
    if (differs) this.#sizesDue = this.#labelsDue = this.#dirty = true;
  }

  /** Removes a session that was deleted, before the next list. */
  remove(sessionId: string): void {
    this.#remove(sessionId);
    this.#dirty = true;
  }

  get sizesDue(): boolean {
    return this.#sizesDue;
  }

  /** Stores sizes. A listed session without one keeps the size that it had. */
  updateSizes(sizes: ReadonlyMap<string, number>): void {
    for (const [id, record] of this.#records) {
      const sizeBytes = sizes.get(id) ?? record.sizeBytes;
      if (sizeBytes === record.sizeBytes) continue;
      record.sizeBytes = sizeBytes;
      this.#dirty = true;
    }
    this.#sizesDue = false;
  }

  /** Has sizes read again: they may change without the list, because not all files are journals, and a full volume takes no events. */
  invalidateSizes(): void {
    this.#sizesDue = true;
  }

  /**
   * Sessions whose journal is to be read: first those that were never read, the most recently used before the others, then those
   * whose last read is the oldest. So each is read within a bounded number of polls, however many turns run. The journal of a
   * running turn is read twice, because what is written right after the first time does not move a coarse mtime; then it is not
   * read until its mtime moves, for a turn may wait for a permission for days.
   */
  journalsDue(monotonic: number): SessionRecord[] {
    let due: SessionRecord[] | undefined;
    for (const record of this.#records.values()) if (this.#isDue(record, monotonic)) (due ??= []).push(record);
    if (due !== undefined) this.#dirty = true;
    return due?.toSorted((a, b) => a.readTriedAt - b.readTriedAt || b.modifiedTime - a.modifiedTime) ?? [];
  }

  /** Counts on no journal that has not been read since it changed, because the server can't read them: what is known is the file's time. */
  skipJournals(): void {
    for (const record of this.#records.values()) {
      if (record.journal !== undefined && record.readAt === record.times.modifiedTime) continue;
      if (record.journal !== UNREAD) this.#dirty = true;
      record.journal = UNREAD;
    }
  }

  /** Ids of watched sessions whose labels are to be read now: after any change all of them, because labels have no time of change. */
  takeLabelsDue(): string[] {
    const listed = [...this.#watched].flatMap((id) => this.#records.get(id) ?? []);
    const due = this.#labelsDue || listed.some(({ labels }) => labels === undefined);
    this.#labelsDue = false;
    if (due) this.#dirty = true;
    return due ? listed.map(({ times }) => times.sessionId) : [];
  }

  updateLabels(requested: readonly string[], found: ReadonlyMap<string, ClientMetadata>): void {
    for (const id of requested) {
      const record = this.#records.get(id);
      if (record !== undefined) record.labels = found.get(id) ?? {};
    }
  }

  /** Has labels read again, after they were written or could not be read. */
  invalidateLabels(): void {
    this.#labelsDue = true;
  }

  /**
   * The answer as of the wall-clock time `at`; undefined as long as there was none before and some journals were never read:
   * half an answer would count loaded sessions as unloaded. Journals that have changed since do not hold it back, because
   * those of running turns always have.
   */
  publish(at: number): Publication | undefined {
    const before = this.#published;
    if (before === undefined && [...this.#records.values()].some(({ journal }) => journal === undefined)) {
      return undefined;
    }
    if (before !== undefined && !this.#dirty) {
      this.#published = { ...before, at };
      return { answer: this.#published, changed: [] };
    }
    this.#dirty = false;
    const changed = this.#removed;
    this.#removed = [];
    for (const [id, record] of this.#records) {
      const facts = this.#factsOf(record);
      if (sameFacts(record.facts, facts)) continue;
      record.facts = facts;
      changed.push(id);
    }
    this.#published =
      before !== undefined && changed.length === 0
        ? { ...before, at }
        : summaryOf(
            [...this.#records.values()].flatMap(({ facts }) => facts ?? []),
            at,
          );
    return { answer: this.#published, changed };
  }

  #update(record: SessionRecord | undefined, times: SessionTimes): void {
    const parsed = { startTime: Date.parse(times.startTime), modifiedTime: Date.parse(times.modifiedTime) };
    if (record !== undefined) {
      Object.assign(record, { times, ...parsed, unreadableUntil: undefined });
      return;
    }
    this.#records.set(times.sessionId, {
      times,
      ...parsed,
      sizeBytes: 0,
      journal: undefined,
      readTriedAt: -1,
      connectionLosses: 0,
      readAt: undefined,
      readAgainAt: undefined,
      unreadableUntil: undefined,
      usage: undefined,
      usageAt: undefined,
      labels: undefined,
      facts: undefined,
    });
  }

  #remove(id: string): void {
    if (this.#records.get(id)?.facts !== undefined) this.#removed.push(id);
    this.#records.delete(id);
  }

  #isDue(record: SessionRecord, monotonic: number): boolean {
    if (this.#isUnread(record, monotonic)) return true;
    if (record.unreadableUntil !== undefined) return monotonic >= record.unreadableUntil;
    if (this.#activityOf(record) === 'Active' && record.readAgainAt !== record.readAt) return true;
    return record.usageAt !== record.readAt && this.isWatched(record.times.sessionId);
  }

  #isUnread({ readAt, times, unreadableUntil }: SessionRecord, monotonic: number): boolean {
    return readAt !== times.modifiedTime && (unreadableUntil === undefined || monotonic >= unreadableUntil);
  }

  #activityOf({ journal = UNREAD, modifiedTime }: SessionRecord): SessionActivity {
    return activityOf(journal, { startedAt: this.#startedAt, modifiedTime });
  }

  #factsOf(record: SessionRecord): SessionFacts {
    const { times, startTime, modifiedTime, sizeBytes, journal, usage, labels } = record;
    const watched = this.isWatched(times.sessionId);
    return {
      sessionId: times.sessionId,
      startTime,
      modifiedTime,
      // The agent may have written the event's time; no turn is later than the file's.
      lastActivityTime: Math.min(journal?.lastActivityTime ?? modifiedTime, modifiedTime),
      unread: journal === undefined,
      sizeBytes,
      activity: this.#activityOf(record),
      usage: watched ? usage?.usage : undefined,
      labels: watched ? labels : undefined,
    };
  }
}
