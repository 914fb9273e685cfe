/**
 * Informers: a store that a reflector per namespace keeps equal to the API server, and the handlers that receive its
 * changes.
 */
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import type { Clock, Random } from '../clock/clock.ts';
import type { ResourceType } from '../types/resource.ts';
import { keyOf, type KubeObject } from '../types/types.ts';
import { deepFreeze } from './deep-freeze.ts';
import type { Outage } from './outage.ts';
import { Reflector } from './reflector.ts';
import type { ReflectorClient, ReflectorObserver } from './reflector-options.ts';
import type { RestoredError } from './relist.ts';
import { Store, stripServerFields, type Delta, type Indexers, type ReadonlyStore, type Transform } from './store.ts';
import { shareStructure } from './structural-sharing.ts';

/** Receives every change, one at a time, in order. A handler only queues a key: it must not block and should not throw. */
export interface Handler<T extends KubeObject> {
  onAdd?(object: T): void;
  onUpdate?(old: T, object: T): void;
  /** `object` is the last known state: a deletion that a relist found was not watched. */
  onDelete?(object: T): void;
}

/** The result of a health check. */
export interface Health {
  ok: boolean;
  message: string;
}

/** A cache of one resource type, as controllers and the manager use it. */
export interface InformerLike<T extends KubeObject = KubeObject> {
  readonly type: ResourceType<T>;
  readonly store: ReadonlyStore<T>;
  /**
   * True once everything is listed and every handler has received it. Forbidden namespaces don't count, unless all are: the others
   * must not wait until an administrator fixes a role.
   */
  hasSynced(): boolean;
  /** The error if listing and watching this namespace is forbidden: what the store has of it may be outdated. */
  forbiddenIn(namespace: string): Error | undefined;
  /** Whether the API server does not have the type, so that the store is empty: its CRD is not installed. */
  isAbsent(): boolean;
  /** Resolves once `hasSynced`; rejects with the signal's reason if it aborts first. */
  waitForSync(signal: AbortSignal): Promise<void>;
  /** A handler that is added late receives the existing objects as additions. */
  addHandler(handler: Handler<T>): void;
  /** Runs until the signal aborts; resolves when everything is closed. It never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** For /livez: not ok if a watch has made no progress for too long. */
  healthy(): Health;
}

/** What to watch, and how the store keeps it. */
export interface InformerOptions<T extends KubeObject> {
  client: ReflectorClient;
  type: ResourceType<T>;
  clock: Clock;
  random: Random;
  log?: Logger | undefined;
  /** One reflector each, one store for all. Empty or absent: all namespaces, with one reflector. */
  namespaces?: readonly string[] | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  indexers?: Indexers<T> | undefined;
  /** Default: `stripServerFields`. */
  transform?: Transform<T> | undefined;
  observer?: ReflectorObserver | undefined;
  /** The manager's: it ends the back-off of lost watches as soon as the API server answers again. */
  outage?: Outage | undefined;
  /** Freeze what is stored, so that a reader which modifies it gets an error. Default false: it takes time. */
  freeze?: boolean | undefined;
  /**
   * Called when the API server's data were restored from a backup. The store is filled afresh; whatever else was derived from the objects
   * before must be forgotten.
   */
  onRestored?: ((error: RestoredError) => void) | undefined;
}

/**
 * Longer than anything that recovers on its own: the longest watch (10 min), two silences (2 x 3 min), the longest back-off (30 s).
 * Progress is a list, an event or a bookmark; other responses are not. Beyond this only a restart of the process may help.
 */
const STALE_AFTER_MS = 900_000;

/** A store, one reflector per namespace that keeps it current, and handlers for its changes. */
export class Informer<T extends KubeObject> implements InformerLike<T> {
  readonly type: ResourceType<T>;
  readonly store: ReadonlyStore<T>;
  readonly #options: InformerOptions<T>;
  /** By namespace; the key `undefined` is for all namespaces. */
  readonly #reflectors: ReadonlyMap<string | undefined, Reflector<T>>;
  readonly #handlers: Handler<T>[] = [];
  #waiting: (() => void)[] = [];
  #running = false;
  /** The last object received: the next one shares with it what is equal. */
  #latest: T | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.type = options.type;
    const store = new Store<T>(options.indexers, (error, object) => this.#reportUnreadable(error, object));
    this.store = store;
    const namespaces = options.namespaces?.length ? [...new Set(options.namespaces)] : [undefined];
    this.#reflectors = new Map(namespaces.map((namespace) => [namespace, this.#reflector(store, namespace)]));
  }

  hasSynced(): boolean {
    const reflectors = [...this.#reflectors.values()];
    return (
      reflectors.some(({ synced }) => synced) &&
      reflectors.every(({ synced, forbidden }) => synced || forbidden !== undefined)
    );
  }

  forbiddenIn(namespace: string): Error | undefined {
    return (this.#reflectors.get(namespace) ?? this.#reflectors.get(undefined))?.forbidden;
  }

  isAbsent(): boolean {
    return [...this.#reflectors.values()].some(({ absent }) => absent);
  }

  async waitForSync(signal: AbortSignal): Promise<void> {
    if (this.hasSynced()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    using _abort = onAbort(signal, reject);
    this.#waiting.push(resolve);
    await promise;
  }

  addHandler(handler: Handler<T>): void {
    this.#handlers.push(handler);
    for (const object of this.store.list()) this.#notify(handler, { type: 'added', object });
  }

  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error(`informer of ${this.type.plural}: already running`);
    this.#running = true;
    await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.run(signal)));
    this.#running = false;
  }

  healthy(): Health {
    const times = this.#running ? [...this.#reflectors.values()].map(({ sinceProgressMs }) => sinceProgressMs) : [0];
    const oldestMs = Math.max(...times);
    const seconds = Math.round(oldestMs / 1000);
    if (oldestMs <= STALE_AFTER_MS) return { ok: true, message: `${this.type.plural}: last progress ${seconds} s ago` };
    const message = `${this.type.plural}: no list, event or bookmark for ${seconds} s (limit ${STALE_AFTER_MS / 1000} s)`;
    return { ok: false, message };
  }

  #reflector(store: Store<T>, namespace: string | undefined): Reflector<T> {
    const { transform = stripServerFields, freeze = false, ...options } = this.#options;
    const frozen = (object: T): T => (freeze ? deepFreeze(object) : object);
    const transformed = (object: T): T => {
      try {
        return transform(object);
      } catch (error) {
        this.#reportUnreadable(error, object);
        return object;
      }
    };
    return new Reflector<T>({
      ...options,
      namespace,
      target: {
        prepare: (object, afresh) =>
          (afresh ? undefined : store.sameAs(object)) ??
          (this.#latest = frozen(shareStructure(transformed(object), this.#latest))),
        replace: (objects, afresh) => {
          if (afresh) this.#dispatch(store.replace([], namespace));
          this.#dispatch(store.replace(objects, namespace));
        },
        upsert: (object) => this.#dispatch(store.upsert(object)),
        delete: (object) => this.#dispatch(store.delete(object)),
        synced: () => this.#checkSynced(),
        forbidden: () => this.#checkSynced(),
        restored: (error) => this.#options.onRestored?.(error),
      },
    });
  }

  #dispatch(deltas: Delta<T>[]): void {
    for (const delta of deltas) for (const handler of this.#handlers) this.#notify(handler, delta);
  }

  #notify(handler: Handler<T>, delta: Delta<T>): void {
    try {
      if (delta.type === 'added') handler.onAdd?.(delta.object);
      else if (delta.type === 'updated') handler.onUpdate?.(delta.old, delta.object);
      else handler.onDelete?.(delta.object);
    } catch (error) {
      // A bug in one handler must not stop the watch for all others.
      this.#options.log?.error({ err: error, resource: this.type.plural, key: keyOf(delta.object) }, 'handler failed');
    }
  }

  /** The object is cached as it is: its own reconcile may fail because of it, and no other does. */
  #reportUnreadable(error: unknown, object: T): void {
    const { log } = this.#options;
    log?.error(
      { err: error, resource: this.type.plural, key: keyOf(object) },
      'an object could not be read by the cache',
    );
  }

  #checkSynced(): void {
    if (!this.hasSynced()) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
