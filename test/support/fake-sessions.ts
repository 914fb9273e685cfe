/** A SessionSource without a server: the test sets the sessions. */
import type { Deletion, SessionActivity } from '../../src/copilot/session.ts';
import type {
  Disuse,
  Limitation,
  ServerSessions,
  SessionFacts,
  SessionSource,
} from '../../src/servers/survey/sessions.ts';

/** An idle session after two turns, but for the given facts. */
export function sessionFacts(sessionId: string, facts: Partial<SessionFacts> = {}): SessionFacts {
  return {
    sessionId,
    startTime: 0,
    modifiedTime: 0,
    lastActivityTime: 0,
    sizeBytes: 1000,
    activity: 'Unloaded',
    usage: { turns: 2, inputTokens: 20, outputTokens: 10 },
    labels: {},
    ...facts,
  };
}

/** The answer of one server. */
export function answerOf(at: number, ...sessions: SessionFacts[]): ServerSessions {
  return {
    at,
    sessions: new Map(sessions.map((facts) => [facts.sessionId, facts])),
    active: sessions.filter(({ activity }) => activity === 'Active').length,
    loaded: sessions.filter(({ activity }) => activity !== 'Unloaded').length,
    totalBytes: sessions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

export class FakeSessionSource implements SessionSource {
  /** The calls, in order: `delete team/acme-0 alpha`. */
  readonly calls: string[] = [];
  /** The watched sessions, as `team/acme-0 alpha`. */
  readonly watched = new Set<string>();
  /** Labels as they were stored last, by session id. */
  readonly stored = new Map<string, Readonly<Record<string, string>>>();
  /** Failures of `label`, `close` and `delete`, by server. */
  readonly failures = new Map<string, () => Promise<never>>();
  /** What servers can't do. */
  readonly limited = new Map<string, readonly Limitation[]>();
  /** Failures of `activity`, by server. */
  readonly activityFailures = new Map<string, () => Promise<never>>();
  /** Sessions in use now, which no answer shows yet. */
  readonly used = new Map<string, SessionFacts>();
  /** How far the servers' clocks are ahead of the test's, in ms. */
  skewMs = 0;
  readonly #now: () => number;
  readonly #answers = new Map<string, ServerSessions>();
  readonly #listeners: ((key: string, ids: readonly string[]) => void)[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The server answers with these sessions. */
  answer(key: string, ...sessions: SessionFacts[]): void {
    const before = [...(this.#answers.get(key)?.sessions.keys() ?? [])];
    this.#answers.set(key, answerOf(this.#now(), ...sessions));
    this.#notify(key, [...new Set([...before, ...sessions.map(({ sessionId }) => sessionId)])]);
  }

  /** The server does not answer any more. */
  silence(key: string): void {
    const ids = [...(this.#answers.get(key)?.sessions.keys() ?? [])];
    this.#answers.delete(key);
    this.#notify(key, ids);
  }

  has(key: string, sessionId: string): boolean {
    return this.#answers.get(key)?.sessions.has(sessionId) ?? false;
  }

  called(method: string): string[] {
    return this.calls.filter((call) => call.startsWith(`${method} `));
  }

  get(key: string): ServerSessions | undefined {
    return this.#answers.get(key);
  }

  limitations(key: string): readonly Limitation[] {
    return this.limited.get(key) ?? [];
  }

  watch(key: string, sessionId: string): void {
    this.watched.add(`${key} ${sessionId}`);
  }

  unwatch(key: string, sessionId: string): void {
    this.watched.delete(`${key} ${sessionId}`);
  }

  refresh(key: string): void {
    this.calls.push(`refresh ${key}`);
    const { sessions } = this.#answers.get(key) ?? {};
    if (sessions !== undefined) this.#answers.set(key, answerOf(this.#now(), ...sessions.values()));
  }

  onChange(fn: (key: string, sessionIds: readonly string[]) => void): void {
    this.#listeners.push(fn);
  }

  async label(key: string, sessionId: string, labels: Readonly<Record<string, string>>): Promise<boolean> {
    this.calls.push(`label ${key} ${sessionId}`);
    await this.failures.get(key)?.();
    const facts = this.#answers.get(key)?.sessions.get(sessionId);
    if (facts === undefined || facts.activity === 'Unloaded') return false;
    this.stored.set(sessionId, labels);
    return true;
  }

  async activity(key: string, sessionId: string): Promise<SessionActivity> {
    this.calls.push(`activity ${key} ${sessionId}`);
    await this.activityFailures.get(key)?.();
    return this.#current(key, sessionId)?.activity ?? 'Unloaded';
  }

  async isStored(key: string, sessionId: string): Promise<boolean> {
    this.calls.push(`isStored ${key} ${sessionId}`);
    await this.activityFailures.get(key)?.();
    return this.#current(key, sessionId) !== undefined;
  }

  async close(key: string, sessionId: string): Promise<void> {
    this.calls.push(`close ${key} ${sessionId}`);
    await this.failures.get(key)?.();
  }

  async deleteUnused(key: string, sessionId: string, disuse: Disuse): Promise<Deletion | 'InUse'> {
    this.calls.push(`deleteUnused ${key} ${sessionId}`);
    const facts = this.#current(key, sessionId);
    if (facts !== undefined) {
      const isYoung = Math.min(this.#now(), this.#now() + this.skewMs) < disuse.expiresAt;
      if (isYoung || facts.activity === 'Active' || facts.modifiedTime !== disuse.modifiedTime) return 'InUse';
    }
    return this.delete(key, sessionId);
  }

  async delete(key: string, sessionId: string): Promise<Deletion> {
    this.calls.push(`delete ${key} ${sessionId}`);
    await this.failures.get(key)?.();
    const { sessions = new Map<string, SessionFacts>() } = this.#answers.get(key) ?? {};
    if (!sessions.has(sessionId)) return 'NotFound';
    const others = [...sessions.values()].filter((facts) => facts.sessionId !== sessionId);
    this.#answers.set(key, answerOf(this.#now(), ...others));
    this.#notify(key, [sessionId]);
    return 'Deleted';
  }

  #current(key: string, sessionId: string): SessionFacts | undefined {
    return this.used.get(sessionId) ?? this.#answers.get(key)?.sessions.get(sessionId);
  }

  #notify(key: string, ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(key, ids);
  }
}
