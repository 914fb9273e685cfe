/** The survey: the sessions of all servers, polled from the servers themselves. */
import type { Logger } from 'pino';
import { UnreachableError, type ClientMetadata, type Deletion, type SessionActivity } from '../../copilot/index.ts';
import type { ServerRegistry } from '../registry.ts';
import type { Server, ServerUpdate } from '../server.ts';
import type { Guards } from './guards.ts';
import type { Disuse, Limitation, ServerSessions, SessionSource } from './sessions.ts';
import { SurveyedServer, type SurveyContext } from './surveyed-server.ts';

export interface SurveyOptions {
  /** The servers to poll. */
  readonly servers: ServerRegistry;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** The keys of the labels that {@link Survey.label} stores. They are read back; other keys are the applications' own. */
  readonly labelKeys: readonly string[];
  /** Called with the duration of each complete poll in ms, for metrics; default: not at all. */
  readonly observePoll?: (ms: number) => void;
  /** Called before everything that changes a session; what it throws refuses it (the write gate of leader election). Default: none. */
  readonly writeGate?: (() => void) | undefined;
  /** For servers that have a guard; default: their sessions are not ended. */
  readonly guards?: Guards | undefined;
}

/** The number of sessions on all servers, each counted once. */
export interface SessionCounts {
  /** With a running turn. */
  readonly active: number;
  /** In a server's memory without a running turn. */
  readonly loaded: number;
  readonly unloaded: number;
}

/** Least time between two polls of one server, in ms. */
const MIN_GAP_MS = 2000;
/** Polls that hints may cause, for all servers together: with a thousand busy servers, each waits longer for its next poll. */
const HINTED_POLLS_PER_MS = 0.1;

/**
 * Polls all servers for their sessions, without loading a session or keeping one loaded, and reports only changes. `poll`
 * states the bound on calls.
 */
export class Survey implements SessionSource {
  readonly #log: Pick<Logger, 'info' | 'error'>;
  readonly #context: SurveyContext;
  readonly #registry: ServerRegistry;
  readonly #surveyed = new Map<Server, SurveyedServer>();
  /** Watched sessions by server, also of servers that are not known yet. */
  readonly #watched = new Map<string, Set<string>>();
  readonly #listeners: ((key: string, sessionIds: readonly string[]) => void)[] = [];

  constructor(options: SurveyOptions) {
    const { servers, log, labelKeys, guards, observePoll = () => undefined, writeGate = () => undefined } = options;
    this.#log = log;
    this.#registry = servers;
    this.#context = {
      ...servers.context,
      labelKeys,
      guards,
      writeGate,
      minGapMs: () => Math.max(MIN_GAP_MS, this.#surveyed.size / HINTED_POLLS_PER_MS),
      onChange: (key, sessionIds) => this.#notify(key, sessionIds),
      onFailure: (key, failure) => log.info({ server: key, err: failure }, 'polling a server for its sessions failed'),
      onLimitations: (key, limitations) =>
        log.info({ server: key, limitations }, 'what a server can not answer of a poll for its sessions has changed'),
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

  limitations(key: string): readonly Limitation[] {
    return this.#find(key)?.limitations ?? [];
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

  async isStored(key: string, sessionId: string): Promise<boolean> {
    return this.#server(key).isStored(sessionId);
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

  /** Sessions by activity, as of the servers' last answers, for a gauge. */
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

  /** Begins to survey a server, as soon as the start time of its process is known: whether a session is loaded depends on it. */
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
    // Its sessions are unknown from now on, until the server is set again.
    if (answer !== undefined && !this.#registry.isClosed) this.#notify(server.key, [...answer.sessions.keys()]);
  }

  #find(key: string): SurveyedServer | undefined {
    const server = this.#registry.get(key);
    return server && this.#surveyed.get(server);
  }

  #server(key: string): SurveyedServer {
    const found = this.#find(key);
    if (found !== undefined) return found;
    throw new UnreachableError(`${key}: no running server is known by this name, so its sessions can't be reached`);
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
