/**
 * The list-and-watch loop of one resource type, as client-go's Reflector: what to do after each watch is decided in
 * relist.ts.
 */
import { onAbort } from '../clock/abort.ts';
import { Backoff, WATCH_BACKOFF } from '../clock/backoff.ts';
import { Watchdog } from '../clock/watchdog.ts';
import { isForbidden, isNotFound, isServerError, StatusError, toError, TransportError } from '../types/errors.ts';
import { pathOf } from '../types/resource.ts';
import { keyOf, type KubeObject, type Status, type WatchEvent } from '../types/types.ts';
import type { ListOptions, WatchOptions } from '../client/client.ts';
import { Availability } from './availability.ts';
import { HEALTHY_WATCH_MS, decideRelist, RestoredError, SilentWatchError, type RelistDecision } from './relist.ts';
import type { ReflectorOptions } from './reflector-options.ts';
import { VersionGuard } from './version-guard.ts';

/**
 * A watch without event or bookmark for so long is cut and resumed. The API server sends a bookmark every minute, the first one within
 * two (measured): a third minute without one means that the connection is dead.
 */
const SILENCE_MS = 180_000;
/** The same within a streamed list, whose events follow each other immediately. */
const LIST_SILENCE_MS = 30_000;
/** As in client-go: the server ends each watch after 5 to 10 minutes, so that watches are spread over its replicas again. */
const WATCH_TIMEOUT_S = { min: 300, max: 600 };
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/** How one list-and-watch ended. */
interface Ended {
  error: Error | undefined;
  durationMs: number;
  listed: boolean;
  /** `Outage.returns` when it began. */
  returns: number;
}

type DataEvent<T extends KubeObject> = Exclude<WatchEvent<T>, { type: 'ERROR' }>;

/** Keeps a target equal to what the API server has: lists, then watches, until the signal aborts. It never gives up and never throws. */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #backoff: Backoff;
  /** Where a watch resumes; undefined if everything must be listed (again). */
  #resourceVersion: string | undefined;
  #synced = false;
  #list: 'stream' | 'pages' = 'stream';
  #suspicions = 0;
  #events = 0;
  #progressAt: number;
  readonly #availability: Availability;
  readonly #versions: VersionGuard;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#backoff = new Backoff(WATCH_BACKOFF, options.random);
    this.#progressAt = options.clock.monotonic();
    this.#availability = new Availability(options);
    this.#versions = new VersionGuard(options.type);
  }

  /** True once the target has received a complete list. */
  get synced(): boolean {
    return this.#synced;
  }

  /**
   * The error if the server has refused to list for a while. It is cleared by the next complete list: until then the objects of the target
   * may be outdated or missing.
   */
  get forbidden(): Error | undefined {
    return this.#availability.error;
  }

  /** Whether the server does not have the resource type, and so no objects of it: its CRD is not installed. */
  get absent(): boolean {
    return this.#availability.isAbsent;
  }

  /** ms since the last progress: a list, an event, a bookmark, or a refusal. */
  get sinceProgressMs(): number {
    return this.#options.clock.monotonic() - this.#progressAt;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, outage } = this.#options;
    this.#progressAt = clock.monotonic();
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      const returns = outage?.returns ?? 0;
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
      await this.#carryOut(decision, { error, durationMs, listed, returns }, signal);
    }
  }

  async #carryOut(
    decision: RelistDecision,
    { error, durationMs, listed, returns }: Ended,
    signal: AbortSignal,
  ): Promise<void> {
    const { type, namespace, clock, log, observer, outage } = this.#options;
    if (isForbidden(error) || isNotFound(error)) await this.#onRefused(toError(error), signal);
    else this.#availability.answered();
    if (error instanceof RestoredError) this.#options.target.restored?.(error);
    if (mayBeOutage(error)) this.#versions.doubt();
    if (decision.action === 'relist') this.#resourceVersion = undefined;
    this.#list = decision.list;
    this.#suspicions = decision.suspicious && decision.action === 'resume' ? this.#suspicions + 1 : 0;
    // A list that fails late is no healthy watch: started again at once, it would keep an overloaded server overloaded. What fails as an
    // outage ends (a server that was restarted has forgotten our version) is a first failure again.
    const returned = outage !== undefined && outage.returns !== returns;
    if ((listed && durationMs >= HEALTHY_WATCH_MS) || returned) this.#backoff.reset();
    const retryAfterMs = error instanceof StatusError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = decision.backOff ? Math.max(this.#backoff.next(), retryAfterMs) : 0;
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
    if (delayMs === 0) return;
    if (outage && mayBeOutage(error)) {
      // After an outage the errors that follow, while the server loads its caches, are the first ones again.
      if (await outage.wait(delayMs, returns, signal)) this.#backoff.reset();
    } else {
      await clock.sleep(delayMs, signal).catch(() => undefined); // rejects only when the reflector stops
    }
  }

  /** Lists if necessary, then watches until the watch ends. Throws the error that ended it. */
  async #listAndWatch(signal: AbortSignal): Promise<void> {
    if (this.#resourceVersion === undefined && this.#list === 'pages') await this.#listPages(signal);
    const { clock, client, type, outage } = this.#options;
    if (this.#resourceVersion !== undefined && (await this.#versions.check(client, this.#selection(), signal))) {
      outage?.answered();
    }
    const listing = this.#resourceVersion === undefined;
    const cut = new AbortController();
    using _abort = onAbort(signal, (reason) => cut.abort(reason));
    using watchdog = new Watchdog(clock, listing ? LIST_SILENCE_MS : SILENCE_MS, (silentMs) => {
      cut.abort(new SilentWatchError(`no event or bookmark for ${Math.round(silentMs / 1000)} s on an open watch`));
    });
    try {
      const initial = new Map<string, T>();
      for await (const event of client.watch(type, { ...this.#watchOptions(), signal: cut.signal })) {
        if (event.type === 'ERROR') throw this.#errorOf(event.object);
        watchdog.feed();
        if (this.#resourceVersion !== undefined) this.#onEvent(event);
        else if (this.#onInitialEvent(event, initial)) watchdog.limit(SILENCE_MS);
        // Only now: what can't be stored is no progress, or /livez would stay green.
        this.#progress();
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
    // Without a resourceVersion the streamed list is a consistent read: never older than an earlier one.
    return { ...options, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
  }

  async #listPages(signal: AbortSignal): Promise<void> {
    const { client, type, target } = this.#options;
    const { items, resourceVersion } = await client.listAll(type, { ...this.#selection(), signal });
    this.#listed(
      items.map((item) => target.prepare(item, this.#versions.restored)),
      resourceVersion,
    );
    this.#progress();
  }

  /** Collects a streamed list; true with the bookmark that ends it. Changes may come in between. */
  #onInitialEvent(event: DataEvent<T>, initial: Map<string, T>): boolean {
    if (event.type === 'BOOKMARK') {
      if (event.object.metadata.annotations?.[INITIAL_EVENTS_END] !== 'true') return false;
      this.#listed([...initial.values()], event.object.metadata.resourceVersion);
      initial.clear();
      return true;
    }
    if (event.type === 'DELETED') initial.delete(keyOf(event.object));
    else initial.set(keyOf(event.object), this.#options.target.prepare(event.object, this.#versions.restored));
    return false;
  }

  #listed(objects: T[], resourceVersion: string): void {
    const { target, type, observer, outage } = this.#options;
    this.#versions.listed(resourceVersion);
    target.replace(objects, this.#versions.restored);
    this.#versions.startedAfresh();
    observer?.listed?.(type);
    outage?.answered();
    this.#resourceVersion = resourceVersion;
    this.#availability.listed();
    this.#setSynced();
  }

  #setSynced(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#options.target.synced?.();
  }

  #onEvent(event: DataEvent<T>): void {
    const { target } = this.#options;
    if (event.type === 'DELETED') target.delete(target.prepare(event.object, false));
    else if (event.type !== 'BOOKMARK') target.upsert(target.prepare(event.object, false));
    // Only now: what could not be stored is watched again.
    const { resourceVersion } = event.object.metadata;
    this.#resourceVersion = resourceVersion;
    this.#versions.received(resourceVersion);
  }

  async #onRefused(error: Error, signal: AbortSignal): Promise<void> {
    const { clock, target } = this.#options;
    // A refusal counts as progress: restarting the process would not help.
    this.#progressAt = clock.monotonic();
    const refusal = { error, missing: isNotFound(error), listed: this.#synced };
    const outcome = await this.#availability.refused(refusal, signal);
    if (outcome === undefined) return;
    // As soon as it is served and permitted again, changes are found by a list: a resumed watch may be silent for minutes.
    this.#resourceVersion = undefined;
    if (outcome === 'forbidden') target.forbidden?.();
    else {
      target.replace([], false);
      this.#setSynced();
    }
  }

  #progress(): void {
    this.#availability.answered();
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

/**
 * No answer, or that of a load balancer whose servers are down. A Retry-After is an answer, and is obeyed; so is the ERROR event of an open
 * watch, which alone has the method WATCH.
 */
function mayBeOutage(error: Error | undefined): boolean {
  if (!(error instanceof StatusError)) return error instanceof TransportError;
  return isServerError(error) && !error.retryAfterMs && error.method !== 'WATCH';
}
