/** Sessions as the test says they are: a SessionSource without a server. */
import type { Deletion, SessionActivity } from '../../src/copilot/session.ts';
import type {
  Disuse,
  ServerSessions,
  SessionFacts,
  SessionSource,
  SurveyTarget,
} from '../../src/servers/survey/sessions.ts';

/** What is known of a session that has had two turns and is in nobody's way, but for what is stated. */
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
  /** What it was told to do, in order: `delete team/acme-0 alpha`. */
  readonly calls: string[] = [];
  /** What it reads more about, as `team/acme-0 alpha`. */
  readonly watched = new Set<string>();
  /** Labels as they were stored last, by session id. */
  readonly stored = new Map<string, Readonly<Record<string, string>>>();
  /** What `label`, `close` and `delete` of a server come to instead of success. */
  readonly failures = new Map<string, () => Promise<never>>();
  /** What `activity` of a server comes to instead of an answer. */
  readonly activityFailures = new Map<string, () => Promise<never>>();
  /** Sessions that somebody uses at this very moment, which no answer tells yet. */
  readonly used = new Map<string, SessionFacts>();
  /** How far the servers' clocks are ahead of the test's, in ms. */
  skewMs = 0;
  readonly #now: () => number;
  readonly #answers = new Map<string, ServerSessions>();
  readonly #listeners: ((key: string, ids: readonly string[]) => void)[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The server answers, and these are its sessions. */
  answer(key: string, ...sessions: SessionFacts[]): void {
    const before = [...(this.#answers.get(key)?.sessions.keys() ?? [])];
    this.#answers.set(key, answerOf(this.#now(), ...sessions));
    this.#tell(key, [...new Set([...before, ...sessions.map(({ sessionId }) => sessionId)])]);
  }

  /** The server can't be asked any more. */
  silence(key: string): void {
    const ids = [...(this.#answers.get(key)?.sessions.keys() ?? [])];
    this.#answers.delete(key);
    this.#tell(key, ids);
  }

  has(key: string, sessionId: string): boolean {
    return this.#answers.get(key)?.sessions.has(sessionId) ?? false;
  }

  called(method: string): string[] {
    return this.calls.filter((call) => call.startsWith(`${method} `));
  }

  set(_target: SurveyTarget): void {}
  remove(_key: string): void {}

  get(key: string): ServerSessions | undefined {
    return this.#answers.get(key);
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
    return this.#atPresent(key, sessionId)?.activity ?? 'Unloaded';
  }

  async close(key: string, sessionId: string): Promise<void> {
    this.calls.push(`close ${key} ${sessionId}`);
    await this.failures.get(key)?.();
  }

  async deleteUnused(key: string, sessionId: string, disuse: Disuse): Promise<Deletion | 'InUse'> {
    this.calls.push(`deleteUnused ${key} ${sessionId}`);
    const facts = this.#atPresent(key, sessionId);
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
    this.#tell(key, [sessionId]);
    return 'Deleted';
  }

  #atPresent(key: string, sessionId: string): SessionFacts | undefined {
    return this.used.get(sessionId) ?? this.#answers.get(key)?.sessions.get(sessionId);
  }

  #tell(key: string, ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(key, ids);
  }
}
