import type { ReadonlyStore } from './store.ts';
import type { KubeObject } from './types.ts';
import type { ResourceType } from './resource.ts';

/** Told of every change, one at a time, in order. A handler only queues a key: it must not block and should not throw. */
export interface Handler<T extends KubeObject> {
  onAdd?(object: T): void;
  onUpdate?(old: T, object: T): void;
  /** `object` is its last known state: a deletion found by a relist was not seen itself. */
  onDelete?(object: T): void;
}

/** An answer for a probe. */
export interface Health {
  ok: boolean;
  message: string;
}

/** A live copy of one resource type; what controllers and the manager need of it. */
export interface InformerLike<T extends KubeObject = KubeObject> {
  readonly type: ResourceType<T>;
  readonly store: ReadonlyStore<T>;
  /** True once everything was listed and every handler was told. */
  hasSynced(): boolean;
  /** Resolves when `hasSynced`; rejects when the signal aborts first. */
  waitForSync(signal: AbortSignal): Promise<void>;
  /** A handler that comes late is told of what is there already as additions. */
  addHandler(handler: Handler<T>): void;
  /** Until the signal aborts: then everything is closed and it resolves. It never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** For /livez: not ok once a watch has made no progress for too long. */
  healthy(): Health;
}
