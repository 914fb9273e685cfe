/** Remembers which live objects have their desired state, so that nothing is compared while neither changes: the usual case. */
import { LruMap } from '../cache/lru.ts';
import type { KubeObject } from '../types/types.ts';

/** Writes that are remembered until the cache shows them; of more than that the objects are compared once more. */
const MAX_WRITES = 10_000;

/** Desired states are known by their digest. */
export class AsDesired {
  readonly #objects = new WeakMap<KubeObject, string>();
  /** By UID: the version that our last write made. The cache has another object of it than the response to the write. */
  readonly #writes = new LruMap<string, { readonly version: string | undefined; readonly digest: string }>(MAX_WRITES);

  /** Whether the object is known to have this desired state; false if nothing is known. */
  has(object: KubeObject, digest: string): boolean {
    if (this.#objects.get(object) === digest) return true;
    const { uid = '', resourceVersion } = object.metadata;
    const write = this.#writes.get(uid);
    if (write?.digest !== digest || write.version !== resourceVersion) return false;
    // From now on it is known by the object, for as long as that is cached.
    this.#writes.delete(uid);
    this.set(object, digest);
    return true;
  }

  /** The object was compared, and has this desired state. */
  set(object: KubeObject, digest: string): void {
    this.#objects.set(object, digest);
  }

  /** The same of the response to a write. */
  wrote({ metadata: { uid = '', resourceVersion } }: KubeObject, digest: string): void {
    this.#writes.set(uid, { version: resourceVersion, digest });
  }
}
