import type { Handler, Health, InformerLike } from '../../src/kube/cache/informer.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { deepFreeze } from '../../src/kube/cache/deep-freeze.ts';
import { Store, type Indexers } from '../../src/kube/cache/store.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';

/** An informer whose events the test sends. */
export class FakeInformer<T extends KubeObject> implements InformerLike<T> {
  readonly type: ResourceType<T>;
  readonly store: Store<T>;
  readonly #handlers: Handler<T>[] = [];
  #sync: () => void = () => undefined;
  readonly #synced = new Promise<void>((resolve) => (this.#sync = resolve));
  #hasSynced = false;

  constructor(
    type: ResourceType<T>,
    { synced = true, indexers }: { synced?: boolean; indexers?: Indexers<T> | undefined } = {},
  ) {
    this.type = type;
    this.store = new Store<T>(indexers);
    if (synced) this.finishSync();
  }

  finishSync(): void {
    this.#hasSynced = true;
    this.#sync();
  }

  /** The object is frozen from now on, with all its parts: nobody may modify what is in a cache. */
  set(object: T): void {
    for (const delta of this.store.upsert(deepFreeze(object))) {
      for (const handler of this.#handlers) {
        if (delta.type === 'added') handler.onAdd?.(delta.object);
        else if (delta.type === 'updated') handler.onUpdate?.(delta.old, delta.object);
        else handler.onDelete?.(delta.object);
      }
    }
  }

  delete(object: T): void {
    this.store.delete(object);
    for (const handler of this.#handlers) handler.onDelete?.(object);
  }

  hasSynced(): boolean {
    return this.#hasSynced;
  }

  async waitForSync(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw signal.reason;
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    await Promise.race([this.#synced, aborted]);
  }

  addHandler(handler: Handler<T>): void {
    this.#handlers.push(handler);
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }

  /** Forbidden namespaces, with the error of the server. */
  readonly forbidden = new Map<string, Error>();

  forbiddenIn(namespace: string): Error | undefined {
    return this.forbidden.get(namespace);
  }

  /** Whether the API server lacks the type. */
  absent = false;

  isAbsent(): boolean {
    return this.absent;
  }

  healthy(): Health {
    return { ok: true, message: '' };
  }
}
