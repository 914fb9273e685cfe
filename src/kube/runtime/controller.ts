/**
 * Controllers, as in controller-runtime: changes in informers become keys in a work queue, workers reconcile the keys.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import type { Clock } from '../clock/clock.ts';
import { TimerQueue } from '../clock/timer-queue.ts';
import { StatusError, TerminalError } from '../types/errors.ts';
import { fromKey, keyOf, nameOf, type KubeObject, type NamespacedName } from '../types/types.ts';
import type { InformerLike } from '../cache/informer.ts';
import { LeadershipLostError } from './leader-election.ts';
import type { Metrics, ControllerMetrics } from './metrics.ts';
import { WorkQueue } from './work-queue.ts';

/** The result of a reconcile. Without `requeueAfterMs` the key is reconciled again when something changes. */
export interface Result {
  /** Reconcile again after so many ms. */
  requeueAfterMs?: number;
}

/** What a reconcile gets besides its request. */
export interface ReconcileContext {
  /** Carries controller, namespace, name and reconcileID. */
  log: Logger;
  /** Aborts when the reconcile has taken too long, when leadership is lost, and when a graceful stop has lasted too long. */
  signal: AbortSignal;
  reconcileID: string;
}

/** Brings the cluster closer to the desired state of an object. It gets a name and never an event, and must be idempotent. */
export interface Reconciler {
  /** Throw an error to be retried with back-off; a TerminalError, to be called again only when something changes. */
  reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void>;
  /**
   * Called instead of `reconcile`, periodically, while the API server forbids to list or watch a resource in the object's namespace: the
   * caches of it may be outdated or empty, and to act on them could do harm. It should report `error`, which is the server's.
   */
  reconcileForbidden(request: NamespacedName, error: Error, context: ReconcileContext): Promise<void>;
}

/** What a controller needs; the builder takes most of it from the manager. */
export interface ControllerOptions {
  /** Label of its metrics and logs: lower case, unique in the process. */
  name: string;
  reconciler: Reconciler;
  /** The informer of the objects that it reconciles. */
  primary: InformerLike;
  clock: Clock;
  metrics: Metrics;
  log: Logger;
  /** Workers: keys that are reconciled concurrently. Default 1. One key is never reconciled concurrently with itself. */
  concurrency?: number | undefined;
  /** ms after which a reconcile's signal aborts. Default 300,000. */
  reconcileTimeoutMs?: number | undefined;
  /** Longest back-off of a failing reconcile, ms. Default: the work queue's, 1,000 s. */
  maxRetryDelayMs?: number | undefined;
}

/** The keys to reconcile for a change of an object; `deleted` if it is gone. */
export type MapFunc<T extends KubeObject> = (object: T, deleted: boolean) => NamespacedName[];

/** How changes of a watched object become keys. */
export interface WatchesOptions<T extends KubeObject> {
  /** Which updates count; without it all do. Creations and deletions always do. */
  predicate?: ((old: T, object: T) => boolean) | undefined;
  /** ms before the key is queued: changes that come together cost one reconcile. Default 0. */
  delayMs?: number | undefined;
}

/** Far longer than a reconcile takes, as each of its requests ends within 30 s. Without it a hanging one would block its worker forever. */
const RECONCILE_TIMEOUT_MS = 300_000;
/** Until a forbidden namespace is checked again, ms. */
const FORBIDDEN_RETRY_MS = 10_000;

/** Queues keys for changes and reconciles them. Created by `controllerManagedBy` (builder.ts). */
export class Controller {
  /** Label of its metrics and logs. */
  readonly name: string;
  /** The informer of the objects that it reconciles. */
  readonly primary: InformerLike;
  readonly #reconciler: Reconciler;
  readonly #clock: Clock;
  /** Nearly all timeouts are cancelled within milliseconds, and a timer of node is several objects. */
  readonly #timeouts: TimerQueue;
  readonly #log: Logger;
  readonly #metrics: ControllerMetrics;
  readonly #concurrency: number;
  readonly #reconcileTimeoutMs: number;
  readonly #queue: WorkQueue;
  readonly #informers = new Set<InformerLike>();

  constructor(options: ControllerOptions) {
    const { name, reconciler, primary, clock, metrics, log, concurrency = 1 } = options;
    this.name = name;
    this.#reconciler = reconciler;
    this.primary = primary;
    this.#clock = clock;
    this.#timeouts = new TimerQueue(clock);
    this.#log = log.child({ controller: name });
    this.#concurrency = concurrency;
    this.#reconcileTimeoutMs = options.reconcileTimeoutMs ?? RECONCILE_TIMEOUT_MS;
    this.#metrics = metrics.forController(name, concurrency);
    this.#queue = new WorkQueue({ clock, metrics: this.#metrics.queue, maxDelayMs: options.maxRetryDelayMs });
    this.#metrics.watchQueue(() => this.#queue.inProgressMs());
  }

  /** Queues the keys that `map` returns for every object that is created, updated (before and after) or deleted. */
  watch<T extends KubeObject>(
    informer: InformerLike<T>,
    map: MapFunc<T>,
    { predicate = () => true, delayMs = 0 }: WatchesOptions<T> = {},
  ): void {
    this.#informers.add(informer);
    const enqueue = (object: T, deleted = false): void => {
      try {
        for (const request of map(object, deleted)) this.enqueueAfter(request, delayMs);
      } catch (error) {
        // The informer has other handlers, and this object will change again.
        this.#metrics.panicked();
        this.#log.error({ err: error, kind: object.kind, ...nameOf(object) }, 'failed to map an object to keys');
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
  }

  /** Queues a key now: for changes outside the cluster's objects. */
  enqueue(request: NamespacedName): void {
    this.#queue.add(keyOf(request));
  }

  /** Queues a key after `delayMs`. */
  enqueueAfter(request: NamespacedName, delayMs: number): void {
    this.#queue.addAfter(keyOf(request), delayMs);
  }

  /** Retries every key that failed after `delayMs()`, without the rest of its back-off: for the end of an outage of the API server. */
  retryFailed(delayMs: () => number): void {
    this.#queue.retryFailed(delayMs);
  }

  /**
   * Runs from the first sync of its caches until `stop` aborts; resolves when the reconciles in progress have ended.
   * `kill` aborts those, too.
   */
  async run(stop: AbortSignal, kill: AbortSignal = stop): Promise<void> {
    using _stop = onAbort(stop, () => this.#queue.shutDown());
    try {
      await Promise.all([...this.#informers].map((informer) => informer.waitForSync(stop)));
    } catch (error) {
      if (stop.aborted) return;
      throw error;
    }
    this.#log.info({ workers: this.#concurrency }, 'starting workers');
    this.#queue.start();
    await Promise.all(Array.from({ length: this.#concurrency }, () => this.#work(kill)));
    this.#log.info('all workers have finished');
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
    if (kill.aborted) {
      log.info({ err: error }, 'reconcile aborted: this process is stopping or is no longer the leader');
      return;
    }
    if (error instanceof LeadershipLostError) {
      // The gate was closed because a renewal is late. If it still succeeds, nothing else would requeue the key.
      this.#queue.addRateLimited(key);
      log.info({ err: error }, 'reconcile aborted: the lease was not renewed in time; retried if it is renewed');
      return;
    }
    if (error instanceof TerminalError) {
      this.#metrics.terminalError();
      this.#queue.forget(key);
      log.error({ err: error }, 'reconcile failed; not retried until something changes');
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
      panic ? 'reconcile failed with a programming error' : 'reconcile failed',
    );
  }

  async #reconcile(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const forbidden = [...this.#informers].map((informer) => informer.forbiddenIn(request.namespace)).find(Boolean);
    // For a deleted object the reconciler only forgets what it knew, which can do no harm.
    const isDeleted = this.primary.store.get(request) === undefined;
    if (forbidden === undefined || isDeleted) return this.#reconciler.reconcile(request, context);
    await this.#reconciler.reconcileForbidden(request, forbidden, context);
    return { requeueAfterMs: FORBIDDEN_RETRY_MS };
  }

  async #reconcileInTime(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const timeoutMs = this.#reconcileTimeoutMs;
    const controller = new AbortController();
    using _kill = onAbort(context.signal, (reason) => controller.abort(reason));
    const timer = this.#timeouts.setTimerAt(this.#clock.monotonic() + timeoutMs, () => {
      this.#metrics.timedOut();
      controller.abort(new Error(`the reconcile exceeded its timeout of ${timeoutMs} ms`));
    });
    try {
      return await this.#reconcile(request, { ...context, signal: controller.signal });
    } finally {
      timer.cancel();
    }
  }
}

/** What would be a panic in Go: a thrown value that is no Error, or an error that only a bug causes. */
function isPanic(error: unknown): boolean {
  return (
    !(error instanceof Error) ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  );
}
