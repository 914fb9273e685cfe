/** The objects of an informer, by key and by index. */
import { keyOf, type KubeObject, type NamespacedName } from '../types/types.ts';

/** By name of an index: under which values it has an object. */
export type Indexers<T extends KubeObject> = Record<string, (object: T) => string[]>;

/** Called once for every object before it is stored, to drop what is not read; may modify and return it. */
export type Transform<T extends KubeObject> = (object: T) => T;

/** What changed in a store. An object that was recreated under its name, with another UID, is a `deleted` and an `added`. */
export type Delta<T extends KubeObject> =
  { type: 'added'; object: T } | { type: 'updated'; old: T; object: T } | { type: 'deleted'; object: T };

/** For reading: what reconcilers get. All readers share the objects, which must not be modified. */
export interface ReadonlyStore<T extends KubeObject> {
  get(key: string | NamespacedName): T | undefined;
  list(namespace?: string): T[];
  /** Objects for which the indexer returned `value`. Throws if there is no such index. */
  byIndex(name: string, value: string): T[];
  keys(): IterableIterator<string>;
  readonly size: number;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Drops what only the API server and kubectl read, a third of the memory of a typical object. */
export function stripServerFields<T extends KubeObject>(object: T): T {
  // A copy: `delete` turns the object into a hash table, which takes 800 bytes more.
  const { managedFields: _managed, ...metadata } = object.metadata;
  if (metadata.annotations?.[LAST_APPLIED] !== undefined) {
    const { [LAST_APPLIED]: _applied, ...annotations } = metadata.annotations;
    metadata.annotations = annotations;
  }
  return { ...object, metadata };
}

/** Keys of objects by value. A single key, the usual case, is not in a set: that would take more memory than many an object. */
type Index = Map<string, string | Set<string>>;

/** The last known state of a set of objects, by key and by index. */
export class Store<T extends KubeObject> implements ReadonlyStore<T> {
  readonly #objects = new Map<string, T>();
  readonly #namespaces: Index = new Map();
  readonly #indexers: Indexers<T>;
  readonly #onIndexError: (error: unknown, object: T) => void;
  readonly #indexes = new Map<string, Index>();

  /** `onIndexError` receives what an indexer throws: its object is stored all the same, without a value in that index. */
  constructor(indexers: Indexers<T> = {}, onIndexError: (error: unknown, object: T) => void = () => undefined) {
    this.#indexers = indexers;
    this.#onIndexError = onIndexError;
    for (const name of Object.keys(indexers)) this.#indexes.set(name, new Map());
  }

  get(key: string | NamespacedName): T | undefined {
    return this.#objects.get(typeof key === 'string' ? key : keyOf(key));
  }

  list(namespace?: string): T[] {
    if (namespace === undefined) return [...this.#objects.values()];
    return this.#resolve(this.#namespaces.get(namespace));
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (!index)
      throw new Error(
        `store: index "${name}" does not exist; existing indexes: ${[...this.#indexes.keys()].join(', ') || 'none'}`,
      );
    return this.#resolve(index.get(value));
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Stores the state of one object from a watch. No delta if this version is stored already. */
  upsert(object: T): Delta<T>[] {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (old && isSameVersion(old, object)) return [];
    this.#set(key, object, old);
    if (!old) return [{ type: 'added', object }];
    if (old.metadata.uid === object.metadata.uid) return [{ type: 'updated', old, object }];
    return [
      { type: 'deleted', object: old },
      { type: 'added', object },
    ];
  }

  /** `object` is the last state from the server. No delta if another object of that name is stored. */
  delete(object: T): Delta<T>[] {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (!old || (object.metadata.uid && old.metadata.uid !== object.metadata.uid)) return [];
    this.#unset(key, old);
    return [{ type: 'deleted', object }];
  }

  /** Replaces everything (in one namespace, if given) by a complete list. Deletions are the first deltas. */
  replace(objects: Iterable<T>, namespace?: string): Delta<T>[] {
    const listed = new Map<string, T>();
    for (const object of objects) listed.set(keyOf(object), object);
    const deltas: Delta<T>[] = [];
    for (const old of this.list(namespace)) {
      if (!listed.has(keyOf(old))) deltas.push(...this.delete(old));
    }
    for (const object of listed.values()) deltas.push(...this.upsert(object));
    return deltas;
  }

  /** The stored object if it has the same version: a relist that keeps it needs no second copy of everything. */
  sameAs(object: T): T | undefined {
    const old = this.#objects.get(keyOf(object));
    return old && isSameVersion(old, object) ? old : undefined;
  }

  #set(key: string, object: T, old: T | undefined): void {
    const places = this.#placesOf(object, this.#onIndexError);
    if (old) this.#unset(key, old);
    this.#objects.set(key, object);
    for (const [index, values] of places) {
      for (const value of values) {
        const keys = index.get(value);
        if (keys === undefined) index.set(value, key);
        else if (typeof keys !== 'string') keys.add(key);
        else if (keys !== key) index.set(value, new Set([keys, key]));
      }
    }
  }

  #unset(key: string, old: T): void {
    this.#objects.delete(key);
    for (const [index, values] of this.#placesOf(old)) {
      for (const value of values) {
        const keys = index.get(value);
        if (typeof keys === 'object') keys.delete(key);
        // A value without objects would stay forever.
        if (keys === key || (typeof keys === 'object' && keys.size === 0)) index.delete(value);
      }
    }
  }

  #placesOf(object: T, onError: (error: unknown, object: T) => void = () => undefined): [Index, string[]][] {
    const places: [Index, string[]][] = [[this.#namespaces, [object.metadata.namespace ?? '']]];
    for (const [name, indexer] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name);
      if (index === undefined) continue;
      try {
        places.push([index, indexer(object)]);
      } catch (error) {
        // One object that an indexer can't read must not empty the cache: a list would fail with it, again and again.
        onError(error, object);
      }
    }
    return places;
  }

  #resolve(keys: string | Set<string> = new Set()): T[] {
    const found: T[] = [];
    for (const key of typeof keys === 'string' ? [keys] : keys) {
      const object = this.#objects.get(key);
      if (object) found.push(object);
    }
    return found;
  }
}

function isSameVersion(a: KubeObject, b: KubeObject): boolean {
  const { uid, resourceVersion } = a.metadata;
  return resourceVersion !== undefined && resourceVersion === b.metadata.resourceVersion && uid === b.metadata.uid;
}
