/** Our own writes, until the cache has them. */
import type { Clock } from '../clock/clock.ts';
import type { InformerLike } from '../cache/informer.ts';
import { LruMap } from '../cache/lru.ts';
import type { ResourceType } from '../types/resource.ts';
import { keyOf, type KubeObject } from '../types/types.ts';

/** For how long a write is believed without the cache having shown it; then the API server is asked. */
const TRUST_MS = 10_000;
/** Of how many owners it is remembered which children were made for them; the one it was longest ago for goes first. */
const MAX_OWNERS = 5_000;
/** How many deletions are remembered, for answers that come after the event of the object's deletion. */
const MAX_DELETED = 1_000;

interface Write {
  object: KubeObject;
  at: number;
}

/** What is known of an object from the cache and from our own writes together. */
export interface Known<T extends KubeObject> {
  object: T | undefined;
  /** The cache lacks what we wrote, and it may be late or right: only a live read can tell. */
  uncertain: boolean;
}

/**
 * Our own writes until the cache shows them, so that a reconcile which runs before its own events arrive does not write
 * again. Nothing depends on it for being right, only for being cheap: an entry that is lost costs a read.
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

  /** Lets the informer of a type tell when the cache has caught up; without it a missing object is always uncertain. */
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

  /** An object as the cache has it, or as we have written it since. */
  ofCached<T extends KubeObject>(type: ResourceType<T>, cached: T): T {
    return this.newest(type, cached, cached).object ?? cached;
  }

  /** Remembers what the API server answered to a write (or a live read). */
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

  /** Remembers that this child was made for the owner once. */
  created(type: ResourceType, object: KubeObject, ownerUid: string): void {
    const made = this.#created.get(ownerUid) ?? new Set();
    this.#created.set(ownerUid, made.add(childKey(type, object)));
  }

  /** Whether this child was made for this owner before, by this process. */
  wasCreated(type: ResourceType, object: KubeObject, ownerUid: string): boolean {
    return this.#created.get(ownerUid)?.has(childKey(type, object)) ?? false;
  }

  /** Also when nothing is written any more: of a type that nobody follows, the last ones would stay for ever. */
  #forgetExpired(): void {
    const now = this.#clock.monotonic();
    for (const [key, { at }] of this.#writes) {
      // Oldest first, so what has expired is at the front.
      if (now - at <= TRUST_MS) break;
      this.#writes.delete(key);
    }
  }
}

/**
 * Whether `a` is a later state than `b` of what stands under one name. Resource versions of one type are numbers that
 * rise (guaranteed since Kubernetes 1.35, true before); when one is no number, equal is all that can be said.
 */
export function isNewer(a: KubeObject, b: KubeObject): boolean {
  const [left, right] = [a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? ''];
  if (!/^\d+$/.test(left) || !/^\d+$/.test(right)) return false;
  return BigInt(left) > BigInt(right);
}

function typeKey(type: ResourceType): string {
  return `${type.plural}.${type.group}`;
}

function writeKey(type: ResourceType, object: KubeObject): string {
  return `${typeKey(type)}/${keyOf(object)}`;
}

/** Among the children of one owner, so without the namespace. Joined, as a template would keep a tree of its pieces for each. */
function childKey(type: ResourceType, object: KubeObject): string {
  return [typeKey(type), object.metadata.name].join('/');
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
