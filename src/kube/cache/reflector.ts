/**
 * The list-and-watch loop of one resource type, as client-go's Reflector: what to do after each watch is decided in
 * relist.ts.
 */
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import { Backoff, WATCH_BACKOFF } from '../clock/backoff.ts';
import type { KubeClient, ListOptions, WatchOptions } from '../client/client.ts';
import type { Clock, Random } from '../clock/clock.ts';
import { StatusError, toError } from '../types/errors.ts';
import { HEALTHY_WATCH_MS, decideRelist, SilentWatchError, type RelistDecision, type RelistReason } from './relist.ts';
import { pathOf, type ResourceType } from '../types/resource.ts';
import { keyOf, type KubeObject, type Status, type WatchEvent } from '../types/types.ts';
import { Watchdog } from '../clock/watchdog.ts';

/** Where a reflector puts what it learns. */
export interface ReflectorTarget<T extends KubeObject> {
  /** Called for every object of a list before `replace`; what it returns is kept meanwhile. */
  prepare(object: T): T;
  /** A complete list. */
  replace(objects: T[]): void;
  upsert(object: T): void;
  delete(object: T): void;
  /** After the first `replace`. */
  synced?(): void;
  /** Once `forbidden` has become defined. */
  forbidden?(): void;
}

/** Receives what is to be counted: metrics are attached here. */
export interface ReflectorObserver {
  /** A list is complete. */
  listed?(type: ResourceType): void;
  /** A watch has ended, or a list or a watch has failed. */
  watchEnded?(type: ResourceType, reason: RelistReason): void;
}

export interface ReflectorOptions<T extends KubeObject> {
  client: Pick<KubeClient, 'listAll' | 'watch'>;
  type: ResourceType<T>;
  target: ReflectorTarget<T>;
  clock: Clock;
  random: Random;
  /** Only this namespace; all of them when absent. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  log?: Logger | undefined;
  observer?: ReflectorObserver | undefined;
}

/** A watch without event or bookmark for so long is cut and resumed. The API server sends a bookmark every minute, the first one (measured) within two: a third minute without one is no accident. */
const SILENCE_MS = 180_000;
/** Within a list that is streamed, events follow each other at once. */
const LIST_SILENCE_MS = 30_000;
/** client-go's: the server ends each watch after 5 to 10 minutes, so that they spread over its replicas again. */
const WATCH_TIMEOUT_S = { min: 300, max: 600 };
/**
 * For how long the server must have refused us, ms, before that counts: roles are made anew, and an API server may not have heard of a
 * new one yet. Less at the beginning, when everybody else waits.
 */
const FORBIDDEN_AFTER_MS = { listed: 15_000, atFirst: 3_000 };
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

type DataEvent<T extends KubeObject> = Exclude<WatchEvent<T>, { type: 'ERROR' }>;

/**
 * Keeps a target equal to what the API server holds: lists, then watches, for ever. It never gives up and never throws; only the signal
 * ends it. Position and decisions: `relist.ts`.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #backoff: Backoff;
  /** Where a watch would resume; undefined when everything must be listed (again). */
  #resourceVersion: string | undefined;
  #synced = false;
  #list: 'stream' | 'pages' = 'stream';
  #suspicions = 0;
  #events = 0;
  #progressAt: number;
  /** When the server began to refuse us, monotonic ms. */
  #forbiddenSince: number | undefined;
  #forbidden: Error | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#backoff = new Backoff(WATCH_BACKOFF, options.random);
    this.#progressAt = options.clock.monotonic();
  }

  /** True once the target has held a complete list. */
  get synced(): boolean {
    return this.#synced;
  }

  /**
   * What the server says when it refuses us this resource (403) for longer; undefined while it does not. It ends with the next complete
   * list: until then what the target holds is old, or nothing.
   */
  get forbidden(): Error | undefined {
    return this.#forbidden;
  }

  /** ms since the server last told us something: a list, an event, a bookmark, or that we may not have it. */
  get sinceProgressMs(): number {
    return this.#options.clock.monotonic() - this.#progressAt;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    this.#progressAt = clock.monotonic();
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      const streamedList = this.#resourceVersion === undefined && this.#list === 'stream';
      this.#events = 0;
      let error: Error | undefined;
      try {
        await this.#listAndWatch(signal);
      } catch (thrown) {
        error = toError(thrown);
      }
      if (signal.aborted) return;
      const durationMs = clock.monotonic() - startedAt;
      const listed = this.#resourceVersion !== undefined;
      const decision = decideRelist({
        error,
        events: this.#events,
        durationMs,
        listed,
        streamedList,
        suspicions: this.#suspicions,
      });
      await this.#carryOut(decision, { error, durationMs }, signal);
    }
  }

  async #carryOut(
    decision: RelistDecision,
    { error, durationMs }: { error: Error | undefined; durationMs: number },
    signal: AbortSignal,
  ) {
    const { type, namespace, clock, log, observer } = this.#options;
    if (decision.reason === 'Forbidden') this.#onForbidden(error);
    else if (this.#forbidden === undefined) this.#forbiddenSince = undefined;
    if (decision.action === 'relist') this.#resourceVersion = undefined;
    this.#list = decision.list;
    this.#suspicions = decision.suspicious && decision.action === 'resume' ? this.#suspicions + 1 : 0;
    if (durationMs >= HEALTHY_WATCH_MS) this.#backoff.reset();
    const asked = error instanceof StatusError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = decision.backOff ? Math.max(this.#backoff.next(), asked) : 0;
    observer?.watchEnded?.(type, decision.reason);
    const fields = {
      resource: type.plural,
      namespace,
      reason: decision.reason,
      action: decision.action,
      delayMs: Math.round(delayMs),
    };
    if (error === undefined) log?.debug(fields, decision.message);
    else log?.warn(fields, decision.message);
    if (delayMs > 0) await clock.sleep(delayMs, signal).catch(() => undefined); // rejects only because we stop
  }

  /** From a list, or from where we were, until the watch ends. Throws what ended it. */
  async #listAndWatch(signal: AbortSignal): Promise<void> {
    if (this.#resourceVersion === undefined && this.#list === 'pages') await this.#listPages(signal);
    const { clock, client, type } = this.#options;
    const listing = this.#resourceVersion === undefined;
    const cut = new AbortController();
    using _abort = onAbort(signal, (reason) => cut.abort(reason));
    using watchdog = new Watchdog(clock, listing ? LIST_SILENCE_MS : SILENCE_MS, (silentMs) => {
      cut.abort(new SilentWatchError(`nothing came for ${Math.round(silentMs / 1000)} s on an open watch`));
    });
    try {
      const initial = new Map<string, T>();
      for await (const event of client.watch(type, { ...this.#watchOptions(), signal: cut.signal })) {
        if (event.type === 'ERROR') throw this.#errorOf(event.object);
        watchdog.feed();
        this.#progress();
        if (this.#resourceVersion !== undefined) this.#onEvent(event);
        else if (this.#onInitialEvent(event, initial)) watchdog.limit(SILENCE_MS);
      }
    } catch (error) {
      const { reason }: { reason: unknown } = cut.signal;
      throw reason instanceof SilentWatchError ? reason : error;
    }
  }

  #watchOptions(): WatchOptions {
    const { random } = this.#options;
    const timeoutSeconds = Math.floor(WATCH_TIMEOUT_S.min + random() * (WATCH_TIMEOUT_S.max - WATCH_TIMEOUT_S.min));
    const options = { ...this.#selection(), timeoutSeconds, allowWatchBookmarks: true };
    if (this.#resourceVersion !== undefined) return { ...options, resourceVersion: this.#resourceVersion };
    // Without a resourceVersion the streamed list is a consistent read: never older than what we have seen before.
    return { ...options, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
  }

  async #listPages(signal: AbortSignal): Promise<void> {
    const { client, type, target } = this.#options;
    const { items, resourceVersion } = await client.listAll(type, { ...this.#selection(), signal });
    this.#progress();
    this.#listed(
      items.map((item) => target.prepare(item)),
      resourceVersion,
    );
  }

  /** Gathers the list that is being streamed; true with the bookmark that ends it. Changes may come in between. */
  #onInitialEvent(event: DataEvent<T>, initial: Map<string, T>): boolean {
    if (event.type === 'BOOKMARK') {
      if (event.object.metadata.annotations?.[INITIAL_EVENTS_END] !== 'true') return false;
      this.#listed([...initial.values()], event.object.metadata.resourceVersion);
      initial.clear();
      return true;
    }
    if (event.type === 'DELETED') initial.delete(keyOf(event.object));
    else initial.set(keyOf(event.object), this.#options.target.prepare(event.object));
    return false;
  }

  #listed(objects: T[], resourceVersion: string): void {
    const { target, type, observer } = this.#options;
    target.replace(objects);
    observer?.listed?.(type);
    this.#resourceVersion = resourceVersion;
    this.#forbidden = this.#forbiddenSince = undefined;
    if (this.#synced) return;
    this.#synced = true;
    target.synced?.();
  }

  #onEvent(event: DataEvent<T>): void {
    const { target } = this.#options;
    if (event.type === 'DELETED') target.delete(target.prepare(event.object));
    else if (event.type !== 'BOOKMARK') target.upsert(target.prepare(event.object));
    // Only now: what could not be stored is asked for again.
    this.#resourceVersion = event.object.metadata.resourceVersion;
  }

  #onForbidden(error: Error | undefined): void {
    const now = this.#options.clock.monotonic();
    // It is an answer: a new process would get the same.
    this.#progressAt = now;
    this.#forbiddenSince ??= now;
    const patienceMs = this.#synced ? FORBIDDEN_AFTER_MS.listed : FORBIDDEN_AFTER_MS.atFirst;
    if (this.#forbidden !== undefined || now - this.#forbiddenSince < patienceMs) return;
    this.#forbidden = error;
    // What has passed meanwhile is listed, at once when we may: on a watch that is resumed nothing may come for minutes.
    this.#resourceVersion = undefined;
    this.#options.target.forbidden?.();
  }

  #progress(): void {
    if (this.#forbidden === undefined) this.#forbiddenSince = undefined;
    this.#events += 1;
    this.#progressAt = this.#options.clock.monotonic();
  }

  #errorOf(status: Status): StatusError {
    return new StatusError({ method: 'WATCH', path: pathOf(this.#options.type, this.#options) }, status);
  }

  #selection(): ListOptions {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return { namespace, labelSelector, fieldSelector };
  }
}
