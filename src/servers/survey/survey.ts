import type { Logger } from 'pino';
import { DialPacer } from '../dial-pacer.ts';
import {
  UnreachableError,
  type ClientMetadata,
  type Deletion,
  type Dial,
  type SessionActivity,
} from '../../copilot/index.ts';
import type { Disuse, ServerSessions, SessionSource, SurveyTarget } from './sessions.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import { TimerQueue } from '../../kube/clock/timer-queue.ts';
import { SurveyedServer, type ServerContext } from './server.ts';

export interface SurveyOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** The keys that {@link Survey.label} is given, which are read back; what stands under others is the applications'. */
  readonly labelKeys: readonly string[];
  /** Given the time of each complete poll of a server in ms, for metrics; default: nobody. */
  readonly observePoll?: (ms: number) => void;
  /** How connections are made; default TCP. */
  readonly dial?: Dial;
}

/** Sessions of all servers; each counts once. */
export interface SessionCounts {
  /** With a running turn. */
  readonly active: number;
  /** In a server's memory without a running turn. */
  readonly loaded: number;
  readonly unloaded: number;
}

/** Two polls of one server are at least so far apart, in ms. */
const LEAST_GAP_MS = 2000;
/** So many polls a second, of all servers together, may come of hints: when a thousand are busy, each waits for longer. */
const HINTED_POLLS_PER_MS = 0.1;

/**
 * Looks at the sessions of all servers, without loading one or keeping one awake, and tells only of differences. Its
 * bound on calls is stated at `poll`.
 */
export class Survey implements SessionSource {
  readonly #log: Pick<Logger, 'info' | 'error'>;
  readonly #context: ServerContext;
  readonly #servers = new Map<string, { target: SurveyTarget; readonly server: SurveyedServer }>();
  /** Watched sessions by server, also of servers that are not known yet. */
  readonly #watched = new Map<string, Set<string>>();
  readonly #listeners: ((key: string, sessionIds: readonly string[]) => void)[] = [];
  #closed = false;

  constructor({ clock, random, log, labelKeys, dial, observePoll = () => undefined }: SurveyOptions) {
    this.#log = log;
    this.#context = {
      clock,
      random,
      timers: new TimerQueue(clock),
      pacer: new DialPacer(),
      dial,
      labelKeys,
      leastGapMs: () => Math.max(LEAST_GAP_MS, this.#servers.size / HINTED_POLLS_PER_MS),
      tell: (key, sessionIds) => this.#tell(key, sessionIds),
      onFailure: (key, failure) =>
        log.info({ server: key, err: failure }, 'a server can not be asked for its sessions'),
      observePoll,
    };
  }

  set(target: SurveyTarget): void {
    const { key } = target;
    if (this.#closed) throw new Error(`survey: set(${key}) after stop()`);
    const known = this.#servers.get(key);
    if (known === undefined) {
      const server = new SurveyedServer(target, this.#context);
      for (const sessionId of this.#watched.get(key) ?? []) server.watch(sessionId);
      this.#servers.set(key, { target, server });
    } else if (!sameTarget(known.target, target)) {
      known.target = target;
      known.server.adopt(target);
    }
  }

  remove(key: string): void {
    const known = this.#servers.get(key);
    if (known === undefined) return;
    const { answer } = known.server;
    known.server.stop();
    this.#servers.delete(key);
    // It is a server that can't be asked any more, until it is set again.
    if (answer !== undefined && !this.#closed) this.#tell(key, [...answer.sessions.keys()]);
  }

  get(key: string): ServerSessions | undefined {
    return this.#servers.get(key)?.server.answer;
  }

  watch(key: string, sessionId: string): void {
    const watched = this.#watched.get(key) ?? new Set();
    this.#watched.set(key, watched.add(sessionId));
    this.#servers.get(key)?.server.watch(sessionId);
  }

  unwatch(key: string, sessionId: string): void {
    const watched = this.#watched.get(key);
    watched?.delete(sessionId);
    if (watched?.size === 0) this.#watched.delete(key);
    this.#servers.get(key)?.server.unwatch(sessionId);
  }

  refresh(key: string): void {
    this.#servers.get(key)?.server.soon();
  }

  onChange(fn: (key: string, sessionIds: readonly string[]) => void): void {
    this.#listeners.push(fn);
  }

  async label(key: string, sessionId: string, labels: ClientMetadata): Promise<boolean> {
    return this.#server(key).label(sessionId, labels);
  }

  async activity(key: string, sessionId: string): Promise<SessionActivity> {
    return this.#server(key).activity(sessionId);
  }

  async close(key: string, sessionId: string): Promise<void> {
    return this.#server(key).close(sessionId);
  }

  async deleteUnused(key: string, sessionId: string, disuse: Disuse): Promise<Deletion | 'InUse'> {
    return this.#server(key).deleteUnused(sessionId, disuse);
  }

  async delete(key: string, sessionId: string): Promise<Deletion> {
    return this.#server(key).delete(sessionId);
  }

  /** Sessions by what they do, as of the servers' last answers, for a gauge. */
  counts(): SessionCounts {
    const counts = { active: 0, loaded: 0, unloaded: 0 };
    for (const { server } of this.#servers.values()) {
      const { sessions, active, loaded } = server.answer ?? { sessions: new Map(), active: 0, loaded: 0 };
      counts.active += active;
      counts.loaded += loaded - active;
      counts.unloaded += sessions.size - loaded;
    }
    return counts;
  }

  /** Stops everything and closes all connections. */
  stop(): void {
    this.#closed = true;
    for (const key of this.#servers.keys()) this.remove(key);
  }

  #server(key: string): SurveyedServer {
    const known = this.#servers.get(key);
    if (known !== undefined) return known.server;
    throw new UnreachableError(`${key}: no such server is known, so that its sessions can't be reached`);
  }

  #tell(key: string, sessionIds: readonly string[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(key, sessionIds);
      } catch (error) {
        // The next server's sessions must not depend on it.
        this.#log.error({ err: error, server: key }, 'a listener of session changes failed');
      }
    }
  }
}

function sameTarget(a: SurveyTarget, b: SurveyTarget): boolean {
  return (Object.keys(a) as (keyof SurveyTarget)[]).every((field) => a[field] === b[field]);
}
