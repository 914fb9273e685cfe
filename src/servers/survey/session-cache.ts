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

/** What is remembered of one session from look to look. */
export interface SessionRecord {
  times: SessionTimes;
  /** `times`, as numbers. */
  startTime: number;
  modifiedTime: number;
  sizeBytes: number;
  /** What was last made of the journal; undefined: nobody has looked at it yet. */
  journal: JournalState | undefined;
  /** When it was last looked at or tried to, monotonic ms; -1: never. */
  readTriedAt: number;
  /** How often the connection was lost in the middle of the first look at the journal. */
  connectionLosses: number;
  /** The `times.modifiedTime` at which the journal was read; undefined: never. */
  readAt: string | undefined;
  /** The same of the second reading in a row at one time; undefined: there was none. */
  readAgainAt: string | undefined;
  /** Until when (monotonic ms) a journal that could not be read is left alone, unless it changes. */
  unreadableUntil: number | undefined;
  /** How far usage is reckoned; undefined: not at all. */
  usage: UsageMark | undefined;
  /** The `times.modifiedTime` at which that was done. */
  usageAt: string | undefined;
  labels: ClientMetadata | undefined;
  /** As last published. */
  facts: SessionFacts | undefined;
}

/** A publication, and whose facts differ from those of the one before. */
export interface Publication {
  readonly answer: ServerSessions;
  readonly changed: readonly string[];
}

const UNREAD: JournalState = journalState([]);

/**
 * What is known of the sessions of one server. It outlives connections: after a lost one nothing is read again that has
 * not changed. It does no I/O; poll.ts asks, and enters the answers here.
 */
export class SessionCache {
  readonly #records = new Map<string, SessionRecord>();
  readonly #watched = new Set<string>();
  #startedAt: number;
  /** Whether anything was entered since the last publication: a server at rest costs no walk through its sessions. */
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

  isWatched(sessionId: string): boolean {
    return this.#watched.has(sessionId);
  }

  /** Enters a listing. Whether it differs from the last one decides what else is asked for. */
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

  /** The session was deleted, and needs no listing to be gone. */
  remove(sessionId: string): void {
    this.#remove(sessionId);
    this.#dirty = true;
  }

  get sizesDue(): boolean {
    return this.#sizesDue;
  }

  /** Enters sizes. A session that was listed and has none yet keeps what it had. */
  updateSizes(sizes: ReadonlyMap<string, number>): void {
    for (const [id, record] of this.#records) {
      const sizeBytes = sizes.get(id) ?? record.sizeBytes;
      if (sizeBytes === record.sizeBytes) continue;
      record.sizeBytes = sizeBytes;
      this.#dirty = true;
    }
    this.#sizesDue = false;
  }

  /** Sizes may have changed without the list: a session's files are no events, and on a full volume there are no events at all. */
  invalidateSizes(): void {
    this.#sizesDue = true;
  }

  /**
   * Sessions whose journal is to be read: the new ones, the most recently used first, then the one whose last look is
   * the oldest. So each has its turn within a number of polls that is bounded, however many turns are running. That of a running
   * turn is read once more, for what was written right after the first time moves no mtime that is too coarse; then it is left
   * alone until it moves: a turn may wait for a permission for days.
   */
  journalsDue(monotonic: number): SessionRecord[] {
    let due: SessionRecord[] | undefined;
    for (const record of this.#records.values()) if (this.#isDue(record, monotonic)) (due ??= []).push(record);
    if (due !== undefined) this.#dirty = true;
    return due?.toSorted((a, b) => a.readTriedAt - b.readTriedAt || b.modifiedTime - a.modifiedTime) ?? [];
  }

  /** Ids of watched sessions whose labels are to be read now: after any change all that are there, since no time tells of labels. */
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

  /** Labels were written, or could not be read: they are due again. */
  invalidateLabels(): void {
    this.#labelsDue = true;
  }

  /**
   * Makes what is known an answer, of the wall-clock time `at`; undefined as long as there has been none and some journals
   * were never looked at: half an answer would count loaded sessions as unloaded. That they have changed since does not
   * count, for those of running turns always have.
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
      // An event's time is what the agent may have written; no turn is later than the file.
      lastActivityTime: Math.min(journal?.lastActivityTime ?? modifiedTime, modifiedTime),
      unread: journal === undefined,
      sizeBytes,
      activity: this.#activityOf(record),
      usage: watched ? usage?.usage : undefined,
      labels: watched ? labels : undefined,
    };
  }
}
