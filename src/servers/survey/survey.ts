/** The sessions of all servers. */
import type { Logger } from 'pino';
import { UnreachableError, type ClientMetadata, type Deletion, type SessionActivity } from '../../copilot/index.ts';
import type { ServerRegistry } from '../registry.ts';
import type { Server, ServerUpdate } from '../server.ts';
import type { Disuse, ServerSessions, SessionSource } from './sessions.ts';
import { SurveyedServer, type SurveyContext } from './surveyed-server.ts';

export interface SurveyOptions {
  /** The servers to ask for their sessions. */
  readonly servers: ServerRegistry;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** The keys that {@link Survey.label} is given, which are read back; what stands under others is the applications'. */
  readonly labelKeys: readonly string[];
  /** Given the time of each complete poll of a server in ms, for metrics; default: nobody. */
  readonly observePoll?: (ms: number) => void;
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
const MIN_GAP_MS = 2000;
/** So many polls a second, of all servers together, may come of hints: when a thousand are busy, each waits for longer. */
const HINTED_POLLS_PER_MS = 0.1;

/**
 * Looks at the sessions of all servers, without loading one or keeping one awake, and tells only of differences. Its
 * bound on calls is stated at `poll`.
 */
export class Survey implements SessionSource {
  readonly #log: Pick<Logger, 'info' | 'error'>;
  readonly #context: SurveyContext;
  readonly #registry: ServerRegistry;
  readonly #surveyed = new Map<Server, SurveyedServer>();
  /** Watched sessions by server, also of servers that are not known yet. */
  readonly #watched = new Map<string, Set<string>>();
  readonly #listeners: ((key: string, sessionIds: readonly string[]) => void)[] = [];

  constructor({ servers, log, labelKeys, observePoll = () => undefined }: SurveyOptions) {
    this.#log = log;
    this.#registry = servers;
    this.#context = {
      ...servers.context,
      labelKeys,
      minGapMs: () => Math.max(MIN_GAP_MS, this.#surveyed.size / HINTED_POLLS_PER_MS),
      onChange: (key, sessionIds) => this.#notify(key, sessionIds),
      onFailure: (key, failure) =>
        log.info({ server: key, err: failure }, 'a server can not be asked for its sessions'),
      observePoll,
    };
    servers.listen({
      onAdded: (server) => this.#add(server),
      onUpdated: (server, update) => this.#update(server, update),
      onRemoved: (server) => this.#remove(server),
    });
  }

  get(key: string): ServerSessions | undefined {
    return this.#find(key)?.answer;
  }

  watch(key: string, sessionId: string): void {
    const watched = this.#watched.get(key) ?? new Set();
    this.#watched.set(key, watched.add(sessionId));
    this.#find(key)?.watch(sessionId);
  }

  unwatch(key: string, sessionId: string): void {
    const watched = this.#watched.get(key);
    watched?.delete(sessionId);
    if (watched?.size === 0) this.#watched.delete(key);
    this.#find(key)?.unwatch(sessionId);
  }

  refresh(key: string): void {
    this.#find(key)?.requestPoll();
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
    for (const { answer } of this.#surveyed.values()) {
      const { sessions, active, loaded } = answer ?? { sessions: new Map(), active: 0, loaded: 0 };
      counts.active += active;
      counts.loaded += loaded - active;
      counts.unloaded += sessions.size - loaded;
    }
    return counts;
  }

  /** Surveys a server once it is known when its process started, without which no session can be told to be loaded. */
  #add(server: Server): void {
    const { startedAt } = server.target;
    if (startedAt === undefined) return;
    const surveyed = new SurveyedServer(server, startedAt, this.#context);
    for (const sessionId of this.#watched.get(server.key) ?? []) surveyed.watch(sessionId);
    this.#surveyed.set(server, surveyed);
  }

  #update(server: Server, update: ServerUpdate): void {
    const surveyed = this.#surveyed.get(server);
    if (surveyed === undefined) this.#add(server);
    else surveyed.update(update);
  }

  #remove(server: Server): void {
    const surveyed = this.#surveyed.get(server);
    if (surveyed === undefined) return;
    const { answer } = surveyed;
    surveyed.stop();
    this.#surveyed.delete(server);
    // It is a server that can't be asked any more, until it is set again.
    if (answer !== undefined && !this.#registry.isClosed) this.#notify(server.key, [...answer.sessions.keys()]);
  }

  #find(key: string): SurveyedServer | undefined {
    const server = this.#registry.get(key);
    return server && this.#surveyed.get(server);
  }

  #server(key: string): SurveyedServer {
    const found = this.#find(key);
    if (found !== undefined) return found;
    throw new UnreachableError(`${key}: no such server is known, so that its sessions can't be reached`);
  }

  #notify(key: string, sessionIds: readonly string[]): void {
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
