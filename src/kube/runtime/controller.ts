/**
 * Controllers, as in controller-runtime: changes in informers become keys in a work queue, workers reconcile the keys.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Clock } from '../clock/clock.ts';
import { StatusError, TerminalError } from '../types/errors.ts';
import type { InformerLike } from '../cache/informer.ts';
import { LeadershipLostError } from './leader-election.ts';
import type { Metrics, ControllerMetrics } from './metrics.ts';
import { getControllerOf, refersTo } from '../types/owner.ts';
import type { ResourceType } from '../types/resource.ts';
import { fromKey, keyOf, nameOf, type KubeObject, type NamespacedName } from '../types/types.ts';
import { WorkQueue } from './work-queue.ts';

/** What a reconcile wants next. Without `requeueAfterMs` it runs again when something changes. */
export interface Result {
  /** ms. */
  requeueAfterMs?: number;
}

export interface ReconcileContext {
  /** Carries controller, namespace, name and reconcileID. */
  log: Logger;
  /** Aborts when the reconcile has taken too long, when leadership is lost, and when a graceful stop has lasted too long. */
  signal: AbortSignal;
  reconcileID: string;
}

/** Brings the world nearer to what the object says. It is given a name and never an event, and must be repeatable. */
export interface Reconciler {
  /** Throws to be called again with back-off; TerminalError to be left alone until something changes. */
  reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void>;
  /**
   * Called in its place, again and again, while the API server refuses to show a watched resource in the object's namespace: what the
   * caches hold of it may be old or nothing, and to act on that could do harm. `why` is what the server says.
   */
  reconcileForbidden(request: NamespacedName, why: Error, context: ReconcileContext): Promise<void>;
}

export interface ControllerOptions {
  /** Label of its metrics and logs: lower case, unique in the process. */
  name: string;
  reconciler: Reconciler;
  clock: Clock;
  metrics: Metrics;
  log: Logger;
  /** Different keys reconciled at the same time. Default 1. One key is never reconciled twice at the same time. */
  concurrency?: number | undefined;
  /** ms after which a reconcile's signal aborts. Default: none. */
  reconcileTimeoutMs?: number | undefined;
  /** Longest wait after a reconcile that has failed, ms. Default: the work queue's, 1,000 s. */
  maxRetryDelayMs?: number | undefined;
}

/** From one look at a namespace that is refused to the next, ms. */
const FORBIDDEN_RETRY_MS = 10_000;

/** Queues a key for every change that concerns it and reconciles the keys. */
export class Controller {
  readonly name: string;
  readonly #reconciler: Reconciler;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: ControllerMetrics;
  readonly #concurrency: number;
  readonly #reconcileTimeoutMs: number | undefined;
  readonly #queue: WorkQueue;
  readonly #informers: InformerLike[] = [];
  /** By kind and group: where owners are looked up. */
  readonly #primary = new Map<string, InformerLike>();

  constructor(options: ControllerOptions) {
    const { name, reconciler, clock, metrics, log, concurrency = 1, reconcileTimeoutMs, maxRetryDelayMs } = options;
    this.name = name;
    this.#reconciler = reconciler;
    this.#clock = clock;
    this.#log = log.child({ controller: name });
    this.#concurrency = concurrency;
    this.#reconcileTimeoutMs = reconcileTimeoutMs;
    this.#metrics = metrics.forController(name, concurrency);
    this.#queue = new WorkQueue({ clock, metrics: this.#metrics.queue, maxDelayMs: maxRetryDelayMs });
    this.#metrics.watchQueue(() => this.#queue.inProgressMs());
  }

  /**
   * Reconciles every object of this informer, when it comes, goes, or changes in what others say: its spec, labels,
   * annotations, deletion. Its status is the controller's own word; to wake for it would undo every back-off whose
   * message differs from try to try.
   */
  for<T extends KubeObject>(informer: InformerLike<T>): this {
    this.#primary.set(typeKey(informer.type), informer);
    return this.#watch(informer, (object) => [nameOf(object)], specOrMetadataChanged);
  }

  /** Reconciles the owner of every object of this informer whose controller reference is of that type. */
  owns<T extends KubeObject>(informer: InformerLike<T>, ownerType: ResourceType): this {
    const ownerOf = (object: T, gone: boolean): NamespacedName[] => {
      const reference = getControllerOf(object);
      if (!reference || !refersTo(reference, ownerType)) return [];
      const owner = { namespace: ownerType.namespaced ? (object.metadata.namespace ?? '') : '', name: reference.name };
      const known = this.#primary.get(typeKey(ownerType))?.store.get(owner);
      // A child of an earlier owner of this name says nothing about the present one, until it goes and frees its name.
      if (known && known.metadata.uid !== reference.uid && !gone) return [];
      return [owner];
    };
    return this.#watch(informer, ownerOf);
  }

  /**
   * Reconciles what `map` makes of every object that comes, changes (before and after) or goes. `matters` says which
   * changes count; without it all do. With `delayMs` those that come together cost one reconcile.
   */
  watches<T extends KubeObject>(
    informer: InformerLike<T>,
    map: (object: T) => NamespacedName[],
    matters?: (old: T, object: T) => boolean,
    delayMs = 0,
  ): this {
    return this.#watch(informer, map, matters, delayMs);
  }

  /** For what is no object of the cluster: a pinger's transition, say. */
  enqueue(request: NamespacedName): void {
    this.#queue.add(keyOf(request));
  }

  /** ms. */
  enqueueAfter(request: NamespacedName, delayMs: number): void {
    this.#queue.addAfter(keyOf(request), delayMs);
  }

  /**
   * Works from the first sync of its caches until `stop` aborts; resolves when the reconciles under way have ended.
   * `kill` aborts those too.
   */
  async run(stop: AbortSignal, kill: AbortSignal = stop): Promise<void> {
    const onStop = (): void => this.#queue.shutDown();
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      await Promise.all(this.#informers.map((informer) => informer.waitForSync(stop)));
    } catch (error) {
      if (stop.aborted) return;
      throw error;
    }
    this.#log.info({ workers: this.#concurrency }, 'starting workers');
    await Promise.all(Array.from({ length: this.#concurrency }, () => this.#work(kill)));
    stop.removeEventListener('abort', onStop);
    this.#log.info('all workers have finished');
  }

  #watch<T extends KubeObject>(
    informer: InformerLike<T>,
    map: (object: T, gone: boolean) => NamespacedName[],
    predicate: (old: T, object: T) => boolean = () => true,
    delayMs = 0,
  ): this {
    this.#informers.push(informer);
    const enqueue = (object: T, gone = false): void => {
      try {
        for (const request of map(object, gone)) this.enqueueAfter(request, delayMs);
      } catch (error) {
        // An informer has other listeners, and this object has other changes to come.
        this.#metrics.panicked();
        this.#log.error({ err: error, kind: object.kind, ...nameOf(object) }, 'mapping an object to its keys failed');
      }
    };
    informer.addHandler({
      onAdd: (object) => enqueue(object),
      onUpdate: (old, object) => {
        if (!predicate(old, object)) return;
        enqueue(old);
        enqueue(object);
      },
      onDelete: (object) => enqueue(object, true),
    });
    return this;
  }

  async #work(kill: AbortSignal): Promise<void> {
    for (let key = await this.#queue.get(); key !== undefined; key = await this.#queue.get()) {
      this.#metrics.activeWorkers(1);
      try {
        await this.#reconcileKey(key, kill);
      } finally {
        this.#metrics.activeWorkers(-1);
        this.#queue.done(key);
      }
    }
  }

  async #reconcileKey(key: string, kill: AbortSignal): Promise<void> {
    const request = fromKey(key);
    const reconcileID = randomUUID();
    const log = this.#log.child({ ...request, reconcileID });
    const started = this.#clock.monotonic();
    const elapsed = (): number => this.#clock.monotonic() - started;
    try {
      const result = await this.#reconcileInTime(request, { log, reconcileID, signal: kill });
      this.#queue.forget(key);
      const requeueAfterMs = result?.requeueAfterMs ?? 0;
      if (requeueAfterMs > 0) this.#queue.addAfter(key, requeueAfterMs);
      this.#metrics.reconciled(requeueAfterMs > 0 ? 'requeue_after' : 'success', elapsed());
    } catch (error) {
      this.#metrics.reconciled('error', elapsed());
      this.#handleError(key, error, log, kill);
    }
  }

  #handleError(key: string, error: unknown, log: Logger, kill: AbortSignal): void {
    if (kill.aborted || error instanceof LeadershipLostError) {
      log.info({ err: error }, 'reconcile cut short: this process stops or leads no longer');
      return;
    }
    if (error instanceof TerminalError) {
      this.#metrics.terminalError();
      this.#queue.forget(key);
      log.error({ err: error }, 'reconcile failed; it is tried again when something changes');
      return;
    }
    const panic = isPanic(error);
    if (panic) this.#metrics.panicked();
    this.#queue.addRateLimited(key, error instanceof StatusError ? error.retryAfterMs : 0);
    log.error(
      {
        err: error instanceof Error ? error : new Error(`thrown: ${String(error)}`),
        failures: this.#queue.numRequeues(key),
      },
      panic ? 'reconcile failed by a programming error' : 'reconcile failed',
    );
  }

  async #reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const why = this.#informers.map((informer) => informer.forbiddenIn(request.namespace)).find(Boolean);
    // What is gone is only forgotten, and that can do no harm.
    const isThere = () => [...this.#primary.values()].some(({ store }) => store.get(request) !== undefined);
    if (why === undefined || !isThere()) return this.#reconciler.reconcile(request, context);
    await this.#reconciler.reconcileForbidden(request, why, context);
    return { requeueAfterMs: FORBIDDEN_RETRY_MS };
  }

  async #reconcileInTime(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const timeoutMs = this.#reconcileTimeoutMs;
    if (timeoutMs === undefined) return this.#reconcile(request, context);
    const controller = new AbortController();
    const onKill = (): void => controller.abort(context.signal.reason);
    context.signal.addEventListener('abort', onKill, { once: true });
    if (context.signal.aborted) onKill();
    const timer = this.#clock.setTimer(timeoutMs, () => {
      this.#metrics.timedOut();
      controller.abort(new Error(`the reconcile took longer than ${timeoutMs} ms`));
    });
    try {
      return await this.#reconcile(request, { ...context, signal: controller.signal });
    } finally {
      timer.cancel();
      context.signal.removeEventListener('abort', onKill);
    }
  }
}

/** What Go would call a panic: something that is no Error, or an error that only a bug makes. */
function isPanic(error: unknown): boolean {
  return (
    !(error instanceof Error) ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  );
}

/** By the generation, which the API server raises with each change of the spec; an object without one has no status. */
function specOrMetadataChanged({ metadata: old }: KubeObject, { metadata }: KubeObject): boolean {
  return (
    metadata.generation === undefined ||
    metadata.generation !== old.generation ||
    metadata.deletionTimestamp !== old.deletionTimestamp ||
    !isDeepStrictEqual(metadata.labels, old.labels) ||
    !isDeepStrictEqual(metadata.annotations, old.annotations)
  );
}

function typeKey({ kind, group }: ResourceType): string {
  return `${kind}.${group}`;
}
