/** Remembers our own writes until the cache shows them. */
import type { Clock } from '../clock/clock.ts';
import type { ResourceType } from '../types/resource.ts';
import { isOlderVersion } from '../types/resource-version.ts';
import { keyOf, type KubeObject, type NamespacedName } from '../types/types.ts';
import type { InformerLike } from '../cache/informer.ts';
import { LruMap } from '../cache/lru.ts';

/** How long a write is trusted without the cache showing it; after that the object is read live. */
const TRUST_MS = 10_000;
/** Owners whose created children are remembered; the least recently used are dropped. */
const MAX_OWNERS = 5_000;
/** Deletions that are remembered, for responses to writes that arrive after the object's deletion event. */
const MAX_DELETED = 1_000;

interface Write {
  object: KubeObject;
  at: number;
}

/** What is known of an object from the cache and our own writes. */
export interface Known<T extends KubeObject> {
  object: T | undefined;
  /** The cache does not show what we wrote. It may be outdated, or the object may have changed since: only a live read can decide. */
  uncertain: boolean;
}

/** A write of this process. */
export interface LastWrite<T extends KubeObject> {
  /** What the API server answered. */
  readonly object: T;
  /** Time since then; ms. */
  readonly ageMs: number;
}

/**
 * Our own writes until the cache shows them, so that a reconcile that runs before the events of the last one arrive does not write
 * again. It only saves requests: an entry that is lost costs a read.
 */
export class RecentWrites {
  readonly #clock: Clock;
  readonly #writes = new Map<string, Write>();
  /** By the owner's UID. */
  readonly #created = new LruMap<string, Set<string>>(MAX_OWNERS);
  readonly #deletedUids = new LruMap<string, true>(MAX_DELETED);
  readonly #followed = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Follows the cache of a type, to know when it has caught up; for other types, an object that the cache lacks is always uncertain. */
  follow(informer: InformerLike): void {
    const { type } = informer;
    this.#followed.add(typeKey(type));
    const seen = (object: KubeObject): void => {
      const write = this.#writes.get(writeKey(type, object));
      if (write && !isNewer(write.object, object)) this.#writes.delete(writeKey(type, object));
    };
    informer.addHandler({
      onAdd: seen,
      onUpdate: (_, object) => seen(object),
      onDelete: (object) => {
        const { uid } = object.metadata;
        const write = this.#writes.get(writeKey(type, object));
        if (write?.object.metadata.uid === uid) this.#writes.delete(writeKey(type, object));
        if (uid) this.#deletedUids.set(uid, true);
      },
    });
  }

  /** An object of the cache, or our newer write of it. */
  ofCached<T extends KubeObject>(type: ResourceType<T>, cached: T): T {
    return this.newest(type, cached, cached).object ?? cached;
  }

  /** Remembers the response to a write (or a live read). */
  wrote(type: ResourceType, object: KubeObject): void {
    if (this.#deletedUids.has(object.metadata.uid ?? '')) return;
    this.#forgetExpired();
    const key = writeKey(type, object);
    this.#writes.delete(key);
    this.#writes.set(key, { object: withoutManagedFields(object), at: this.#clock.monotonic() });
  }

  forget(type: ResourceType, object: KubeObject): void {
    this.#writes.delete(writeKey(type, object));
  }

  /** The newest state of an object that the cache has as `cached`. */
  newest<T extends KubeObject>(type: ResourceType<T>, desired: KubeObject, cached: T | undefined): Known<T> {
    const write = this.#writes.get(writeKey(type, desired));
    this.#forgetExpired();
    if (!write) return { object: cached, uncertain: false };
    if (cached) return { object: isNewer(write.object, cached) ? (write.object as T) : cached, uncertain: false };
    const trusted = this.#followed.has(typeKey(type)) && this.#clock.monotonic() - write.at <= TRUST_MS;
    return trusted ? { object: write.object as T, uncertain: false } : { object: undefined, uncertain: true };
  }

  /** Our last write of an object, for as long as it is trusted: for types that have no cache, which would be read again. */
  lastWrite<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName): LastWrite<T> | undefined {
    this.#forgetExpired();
    const write = this.#writes.get(writeKey(type, ref));
    return write && { object: write.object as T, ageMs: this.#clock.monotonic() - write.at };
  }

  /** Remembers that this child was created for the owner. */
  created(type: ResourceType, object: KubeObject, ownerUid: string): void {
    const children = this.#created.get(ownerUid) ?? new Set();
    this.#created.set(ownerUid, children.add(childKey(type, object)));
  }

  /** Whether this process has created this child for this owner before. */
  wasCreated(type: ResourceType, object: KubeObject, ownerUid: string): boolean {
    return this.#created.get(ownerUid)?.has(childKey(type, object)) ?? false;
  }

  /** Needed even if nothing is written any more: the last writes of a type that is not followed would stay forever. */
  #forgetExpired(): void {
    const now = this.#clock.monotonic();
    for (const [key, { at }] of this.#writes) {
      // Oldest first, so what has expired is at the front.
      if (now - at <= TRUST_MS) break;
      this.#writes.delete(key);
    }
  }
}

/** Whether `a` is newer than `b`, of two states of one name. */
export function isNewer(a: KubeObject, b: KubeObject): boolean {
  return isOlderVersion(b.metadata.resourceVersion, a.metadata.resourceVersion);
}

function typeKey(type: ResourceType): string {
  return `${type.plural}.${type.group}`;
}

function writeKey(type: ResourceType, of: KubeObject | NamespacedName): string {
  return `${typeKey(type)}/${keyOf(of)}`;
}

/** Among the children of one owner, so without the namespace. Joined: V8 keeps a template string as a tree of its parts. */
function childKey(type: ResourceType, object: KubeObject): string {
  return [typeKey(type), object.metadata.name].join('/');
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
