/**
 * Controllers, as in controller-runtime: changes in informers become keys in a work queue, workers reconcile the keys.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import type { Clock } from '../clock/clock.ts';
import { StatusError, TerminalError } from '../types/errors.ts';
import type { InformerLike } from '../cache/informer.ts';
import { LeadershipLostError } from './leader-election.ts';
import type { Metrics, ControllerMetrics } from './metrics.ts';
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
  /** Of the objects that it reconciles. */
  primary: InformerLike;
  clock: Clock;
  metrics: Metrics;
  log: Logger;
  /** Different keys reconciled at the same time. Default 1. One key is never reconciled twice at the same time. */
  concurrency?: number | undefined;
  /** ms after which a reconcile's signal aborts. Default 300,000. */
  reconcileTimeoutMs?: number | undefined;
  /** Longest wait after a reconcile that has failed, ms. Default: the work queue's, 1,000 s. */
  maxRetryDelayMs?: number | undefined;
}

/** Which keys a change of an object concerns; `deleted` when it is gone. */
export type MapFunc<T extends KubeObject> = (object: T, deleted: boolean) => NamespacedName[];

export interface WatchesOptions<T extends KubeObject> {
  /** Which updates count; without it all do. Creations and deletions always do. */
  predicate?: ((old: T, object: T) => boolean) | undefined;
  /** ms before the key is queued: changes that come together cost one reconcile. Default 0. */
  delayMs?: number | undefined;
}

/** Far longer than any reconcile takes, as each of its requests ends within 30 s. One that hangs would hold its worker for ever. */
const RECONCILE_TIMEOUT_MS = 300_000;
/** From one look at a namespace that is refused to the next, ms. */
const FORBIDDEN_RETRY_MS = 10_000;

/** Queues a key for every change that concerns it and reconciles the keys. Made by the builder (builder.ts). */
export class Controller {
  readonly name: string;
  readonly primary: InformerLike;
  readonly #reconciler: Reconciler;
  readonly #clock: Clock;
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
    this.#log = log.child({ controller: name });
    this.#concurrency = concurrency;
    this.#reconcileTimeoutMs = options.reconcileTimeoutMs ?? RECONCILE_TIMEOUT_MS;
    this.#metrics = metrics.forController(name, concurrency);
    this.#queue = new WorkQueue({ clock, metrics: this.#metrics.queue, maxDelayMs: options.maxRetryDelayMs });
    this.#metrics.watchQueue(() => this.#queue.inProgressMs());
  }

  /** Queues what `map` makes of every object that is created, updated (before and after) or deleted. */
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
    using _stop = onAbort(stop, () => this.#queue.shutDown());
    try {
      await Promise.all([...this.#informers].map((informer) => informer.waitForSync(stop)));
    } catch (error) {
      if (stop.aborted) return;
      throw error;
    }
    this.#log.info({ workers: this.#concurrency }, 'starting workers');
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
    const why = [...this.#informers].map((informer) => informer.forbiddenIn(request.namespace)).find(Boolean);
    // What is gone is only forgotten, and that can do no harm.
    const isGone = this.primary.store.get(request) === undefined;
    if (why === undefined || isGone) return this.#reconciler.reconcile(request, context);
    await this.#reconciler.reconcileForbidden(request, why, context);
    return { requeueAfterMs: FORBIDDEN_RETRY_MS };
  }

  async #reconcileInTime(request: NamespacedName, context: ReconcileContext): Promise<Result | void> {
    const timeoutMs = this.#reconcileTimeoutMs;
    const controller = new AbortController();
    using _kill = onAbort(context.signal, (reason) => controller.abort(reason));
    const timer = this.#clock.setTimer(timeoutMs, () => {
      this.#metrics.timedOut();
      controller.abort(new Error(`the reconcile took longer than ${timeoutMs} ms`));
    });
    try {
      return await this.#reconcile(request, { ...context, signal: controller.signal });
    } finally {
      timer.cancel();
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
