/** The desired state of a child on its way through the Applier. */
import { describe, getControllerOf, isControlledBy } from '../types/owner.ts';
import type { KubeObject } from '../types/types.ts';
import { differences, type Difference } from './diff.ts';
import { digest, quickDigest, withHash } from './hash.ts';

/** For one write of a child. */
export interface ChildWriteOptions<T extends KubeObject> {
  /** Whether a live object may be written. Default: its controller reference has the owner's UID. */
  isOurs?: (live: T) => boolean;
  /**
   * Whether a live object without a controller may be written and given the owner as its controller. Default: none. It is not asked for an
   * object that has a controller: that is never taken over.
   */
  mayAdopt?: ((live: T) => boolean) | undefined;
  /**
   * The state that the desired one was computed from. If the spec of the live object has changed since then, or it is gone, nothing is
   * written: Conflict. For decisions that an outdated cache must not repeat or revert. `absent`: there was no object, and one that
   * exists by now is not written either.
   */
  derivedFrom?: T | 'absent' | undefined;
  signal?: AbortSignal | undefined;
}

/** Whether a live object may be written for `owner`. */
export function isOurs<T extends KubeObject>(
  live: T,
  owner: KubeObject,
  { isOurs: declared, mayAdopt }: ChildWriteOptions<T>,
): boolean {
  if (declared !== undefined) return declared(live);
  return isControlledBy(live, owner) || (getControllerOf(live) === undefined && (mayAdopt?.(live) ?? false));
}

/** One apply: the desired child, its owner and the options. */
export class DesiredChild<T extends KubeObject> {
  /** Of the desired state. */
  readonly quickDigest: string;
  readonly owner: KubeObject;
  readonly signal: AbortSignal | undefined;
  readonly derivedFrom: T | 'absent' | undefined;
  readonly #options: ChildWriteOptions<T>;
  readonly #desired: T;
  readonly #hashAnnotation: string;
  #hashed: { manifest: T; hash: string } | undefined;

  constructor(desired: T, owner: KubeObject, hashAnnotation: string, options: ChildWriteOptions<T>) {
    if (!options.isOurs && !isControlledBy(desired, owner)) {
      throw new Error(`${describe(desired)} has no controller reference to ${describe(owner)}`);
    }
    this.#desired = desired;
    this.#hashAnnotation = hashAnnotation;
    this.quickDigest = quickDigest(desired);
    this.owner = owner;
    this.#options = options;
    this.signal = options.signal;
    this.derivedFrom = options.derivedFrom;
  }

  /** Whether `live` may be written. */
  isOurs(live: T): boolean {
    return isOurs(live, this.owner, this.#options);
  }

  /** False if writing `live` takes it over. */
  isControlled(live: T): boolean {
    return this.#options.isOurs !== undefined || isControlledBy(live, this.owner);
  }

  /** Whether writing `live` gives it the owner as its controller. False for a child that is to have none, as a volume that is kept. */
  givesOwner(live: T): boolean {
    return isControlledBy(this.#desired, this.owner) && !isControlledBy(live, this.owner);
  }

  /** What is written: the desired state with its hash. */
  get manifest(): T {
    return this.#withHash().manifest;
  }

  get hash(): string {
    return this.#withHash().hash;
  }

  /** Whether `live` still is what the desired state was computed from. */
  isCurrent(live: T | undefined): boolean {
    if (this.derivedFrom === undefined) return true;
    if (this.derivedFrom === 'absent') return live === undefined;
    const { uid, generation, resourceVersion } = this.derivedFrom.metadata;
    if (live?.metadata.uid !== uid) return false;
    // A type without a status has no generation: there every new version counts.
    return generation === undefined
      ? live?.metadata.resourceVersion === resourceVersion
      : live?.metadata.generation === generation;
  }

  /** The hash annotation is part of the manifest: a live object with another hash differs there. */
  differences(live: T): Difference[] {
    return differences(this.manifest, live);
  }

  /** Whether this desired state is the one that was applied to `live` last. */
  wasApplied(live: T): boolean {
    return live.metadata.annotations?.[this.#hashAnnotation] === this.hash;
  }

  #withHash(): { manifest: T; hash: string } {
    this.#hashed ??= withHash(this.#desired, this.#hashAnnotation);
    return this.#hashed;
  }
}

/** Only this is kept of the values found, which may be secret. */
export function fingerprint(hash: string, different: Difference[]): string {
  return digest([hash, different.map(({ path, found }) => [path, found])]);
}
