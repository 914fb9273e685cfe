/** Remembers how the API server, or an admission policy in it, changed what we wrote. */
import { LruMap } from '../cache/lru.ts';
import type { KubeObject } from '../types/types.ts';

/** Objects that are remembered; the least recently used are dropped, and found out again by a read. */
const MAX_OBJECTS = 10_000;

interface Normalization {
  /** Of the manifest and the values found: they may be secret. */
  readonly fingerprint: string;
  /** Paths of the fields that were changed. */
  readonly fields: readonly string[];
}

/**
 * By the UID of an object. What was changed is left so: written again, it would be changed again, or, by a policy that changes creations
 * only, be undone. A restarted process finds it out from the managed fields.
 */
export class Normalizations {
  readonly #objects = new LruMap<string, Normalization>(MAX_OBJECTS);

  /** Whether exactly this was found on our last write. */
  has(object: KubeObject, fingerprint: string): boolean {
    return this.#objects.get(uidOf(object))?.fingerprint === fingerprint;
  }

  fields(object: KubeObject): readonly string[] {
    return this.#objects.get(uidOf(object))?.fields ?? [];
  }

  set(object: KubeObject, normalization: Normalization): void {
    this.#objects.set(uidOf(object), normalization);
  }

  forget(object: KubeObject): void {
    this.#objects.delete(uidOf(object));
  }
}

const uidOf = ({ metadata: { uid = '' } }: KubeObject): string => uid;
