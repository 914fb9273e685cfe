/**
 * Writes the children of an object: creates what is missing, applies what differs, and never touches an object of
 * another owner.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock/clock.ts';
import { isAlreadyExists, isConflict, StatusError } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import { describe, ForeignObjectError, isControlledBy, OwnerGoneError } from '../types/owner.ts';
import { pathOf, type ResourceType } from '../types/resource.ts';
import { keyOf, nameOf, type KubeObject, type NamespacedName } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';
import type { InformerLike } from '../cache/informer.ts';
import { AsDesired } from './as-desired.ts';
import { fingerprint, DesiredChild, isOurs, type ChildWriteOptions } from './desired-child.ts';
import { type Contest, DriftBackoff } from './drift-backoff.ts';
import type { Difference } from './diff.ts';
import { forceApply } from './forced-apply.ts';
import { overwriteOf, ownedFields } from './managed-fields.ts';
import { Normalizations } from './normalizations.ts';
import { type LastWrite, RecentWrites } from './recent-writes.ts';
import { writeErrorOf } from './refusal.ts';

export type { ChildWriteOptions } from './desired-child.ts';
export type { Contest } from './drift-backoff.ts';
export { InvalidObjectError } from './refusal.ts';

/**
 * The result of an apply:
 * - `created`, `updated`: written.
 * - `unchanged`: the live object has everything desired; nothing was sent.
 * - `terminating`: the live object is terminating; it can be created again once it is gone (its deletion wakes the controller).
 * - `deferred`: another writer keeps reverting our fields; they are restored again after `retryAfterMs`.
 */
export type ApplyAction = 'created' | 'updated' | 'unchanged' | 'terminating' | 'deferred';

/** What an apply did. */
export interface ApplyResult<T extends KubeObject> {
  action: ApplyAction;
  /** The newest known state of the object. */
  object: T;
  /** Paths of the fields that were not as desired (never their values). */
  changed: string[];
  /** Only with `deferred`: ms. */
  retryAfterMs?: number;
  /** The object had no controller, and now has the owner as its controller. */
  adopted?: boolean;
  /** Fields that an admission policy had changed on an earlier write and not on this one: they now have our values. */
  undone?: string[];
  /** Another writer keeps reverting our fields, whether or not they were written now. */
  contest?: Contest;
}

/** What an applier needs. */
export interface ApplierOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Type of the owners, to read one live before a child is created again. */
  ownerType: ResourceType;
  /** Our name in `managedFields`. It must never change. */
  fieldManager: string;
  /** Annotation with the hash of the manifest that was applied last. */
  hashAnnotation: string;
}

/** Writes children: creates by POST, updates by server-side apply, and only on difference (docs/adr/0007-create-then-apply.md). */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #recent: RecentWrites;
  readonly #driftBackoff = new DriftBackoff();
  readonly #normalizations = new Normalizations();
  readonly #asDesired = new AsDesired();

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#recent = new RecentWrites(options.clock);
  }

  /** Follows a cache, to know when it has caught up with our writes: that saves reads. */
  follow(informer: InformerLike): void {
    this.#recent.follow(informer);
  }

  /**
   * Writes `desired` if the live object differs from it. `live` is the object of the cache, which may be outdated.
   * Throws ForeignObjectError, OwnerGoneError, InvalidObjectError, or the client's errors.
   */
  async apply<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T | undefined,
    owner: KubeObject,
    options: ChildWriteOptions<T> = {},
  ): Promise<ApplyResult<T>> {
    const child = new DesiredChild(desired, owner, this.#options.hashAnnotation, options);
    const known = this.#recent.newest(type, desired, live);
    const object = known.uncertain ? await this.#read(type, child) : known.object;
    const result = await (object ? this.#reconcile(type, child, object) : this.#create(type, child));
    const contest = this.contest(type, desired);
    return contest === undefined ? result : { ...result, contest };
  }

  /** What this applier wrote last to an object, for some seconds: whoever has no cache of the type need not read it again. */
  lastWrite<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName): LastWrite<T> | undefined {
    return this.#recent.lastWrite(type, ref);
  }

  /** A child as the cache has it, or as this applier has written it since. */
  ofCached<T extends KubeObject>(type: ResourceType<T>, cached: T): T {
    return this.#recent.ofCached(type, cached);
  }

  /** Another writer keeps reverting what we write to this child. */
  contest(type: ResourceType, child: KubeObject): Contest | undefined {
    return this.#driftBackoff.contest(restoreKey(type, child), this.#options.clock.monotonic());
  }

  /**
   * Whether `apply` would write, judging by the cache and our own writes alone: to decide on the order of writes before the
   * first one. False for a foreign object.
   */
  wouldWrite<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T | undefined,
    owner: KubeObject,
    options: ChildWriteOptions<T> = {},
  ): boolean {
    const child = new DesiredChild(desired, owner, this.#options.hashAnnotation, options);
    const { object } = this.#recent.newest(type, desired, live);
    if (object === undefined) return true;
    return child.isOurs(object) && this.#upToDate(child, object) === undefined;
  }

  /**
   * Whether an object that `wouldWrite` is left as it is after all: the API server itself changed it on our last write, which only a live
   * read can tell, once in the life of a process. It is remembered, so that `wouldWrite` knows it too.
   */
  async changedByServer<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T,
    owner: KubeObject,
    options: ChildWriteOptions<T> = {},
  ): Promise<boolean> {
    const child = new DesiredChild(desired, owner, this.#options.hashAnnotation, options);
    if (!child.wasApplied(live)) return false;
    const object = await this.#read(type, child);
    if (object === undefined || !child.isOurs(object)) return false;
    return this.#upToDate(child, object)?.action === 'unchanged';
  }

  /** Whether the API server and the policies of its cluster would take this change of an object now; nothing is written. */
  async wouldBeTaken<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T,
    { signal }: ChildWriteOptions<T> = {},
  ): Promise<boolean> {
    const { client, fieldManager } = this.#options;
    const of = { ...desired, metadata: { ...desired.metadata, uid: live.metadata.uid } };
    try {
      await client.apply(type, of, { fieldManager, force: true, dryRun: true, signal });
      return true;
    } catch (error) {
      if (error instanceof StatusError) return false;
      throw error;
    }
  }

  /** Whether exactly `desired` was applied to the live object last, whatever it has become since. */
  wasApplied<T extends KubeObject>(
    desired: T,
    live: T,
    owner: KubeObject,
    options: ChildWriteOptions<T> = {},
  ): boolean {
    return new DesiredChild(desired, owner, this.#options.hashAnnotation, options).wasApplied(live);
  }

  /** Deletes a child if it is ours, by UID. True if a deletion was sent; false if it was deleted or terminating already. */
  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    live: T,
    owner: KubeObject,
    options: ChildWriteOptions<T> & { propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' } = {},
  ): Promise<boolean> {
    const { uid, deletionTimestamp } = live.metadata;
    if (!uid || deletionTimestamp) return false;
    if (!isOurs(live, owner, options)) throw new ForeignObjectError(live, live);
    const { propagationPolicy = 'Background', signal } = options;
    if (options.isOurs === undefined && !isControlledBy(live, owner)) await this.#assertOwnerLives(live, owner, signal);
    this.#recent.forget(type, live);
    try {
      await ignoreNotFound(this.#options.client.delete(type, nameOf(live), { uid, propagationPolicy, signal }));
      return true;
    } catch (error) {
      // Another object has the name by now: the child is deleted.
      if (isConflict(error)) return false;
      throw error;
    }
  }

  async #create<T extends KubeObject>(type: ResourceType<T>, child: DesiredChild<T>): Promise<ApplyResult<T>> {
    const { client, fieldManager } = this.#options;
    const ownerUid = child.owner.metadata.uid ?? '';
    // It was created before and is gone: perhaps its owner is, too, and the cache does not show it. Then children would be created and
    // garbage-collected again and again.
    if (this.#recent.wasCreated(type, child.manifest, ownerUid)) {
      await this.#assertOwnerLives(child.manifest, child.owner, child.signal);
    }
    try {
      const object = await client.create(type, child.manifest, { fieldManager, signal: child.signal });
      this.#recent.created(type, object, ownerUid);
      this.#wrote(type, child, object);
      return { action: 'created', object, changed: [] };
    } catch (error) {
      if (!isAlreadyExists(error)) throw writeErrorOf(child.manifest, error);
      const object = await this.#read(type, child);
      if (!object) throw error;
      this.#recent.wrote(type, object);
      return this.#reconcile(type, child, object);
    }
  }

  async #reconcile<T extends KubeObject>(
    type: ResourceType<T>,
    child: DesiredChild<T>,
    known: T,
  ): Promise<ApplyResult<T>> {
    const done = this.#upToDate(child, known) ?? this.#deferred(type, child, known);
    if (done) return done;
    // The cache has no managed fields and may be outdated: a write is decided by a live read.
    const object = await this.#read(type, child);
    if (!child.isCurrent(object)) {
      // If it was derived from our last write, that has been overwritten.
      this.#recent.forget(type, child.manifest);
      const message = `${describe(child.manifest)} has changed since its desired state was computed`;
      const request = { method: 'PATCH', path: pathOf(type, nameOf(child.manifest)) };
      throw new StatusError(request, { code: 409, reason: 'Conflict', message });
    }
    if (!object) return this.#create(type, child);
    this.#recent.wrote(type, object);
    return this.#upToDate(child, object) ?? this.#update(type, child, object);
  }

  /** The result if nothing needs to be written. */
  #upToDate<T extends KubeObject>(child: DesiredChild<T>, object: T): ApplyResult<T> | undefined {
    if (!child.isOurs(object)) throw new ForeignObjectError(child.manifest, object);
    if (object.metadata.deletionTimestamp) return { action: 'terminating', object, changed: [] };
    if (this.#asDesired.has(object, child.quickDigest)) return { action: 'unchanged', object, changed: [] };
    const different = child.differences(object);
    if (different.length === 0) this.#asDesired.set(object, child.quickDigest);
    else if (!this.#isNormalized(child, object, different)) return undefined;
    return { action: 'unchanged', object, changed: [] };
  }

  /** Whether the API server changed these fields on our own write, as far as is remembered or the managed fields show. */
  #isNormalized<T extends KubeObject>(child: DesiredChild<T>, object: T, different: Difference[]): boolean {
    const { managedFields } = object.metadata;
    const found = fingerprint(child.hash, different);
    if (this.#normalizations.has(object, found)) return true;
    if (managedFields === undefined || !child.wasApplied(object)) return false;
    const isOwned = ownedFields(managedFields, this.#options.fieldManager);
    if (!different.every(({ path }) => isOwned(path))) return false;
    this.#normalizations.set(object, { fingerprint: found, fields: different.map(({ path }) => path) });
    return true;
  }

  /** The result if an update must wait because another writer keeps reverting it. */
  #deferred<T extends KubeObject>(
    type: ResourceType<T>,
    child: DesiredChild<T>,
    object: T,
  ): ApplyResult<T> | undefined {
    const retryAfterMs = this.#driftBackoff.waitMs(
      restoreKey(type, object),
      child.hash,
      this.#options.clock.monotonic(),
    );
    if (retryAfterMs === 0) return undefined;
    return { action: 'deferred', object, changed: child.differences(object).map(({ path }) => path), retryAfterMs };
  }

  async #update<T extends KubeObject>(type: ResourceType<T>, child: DesiredChild<T>, live: T): Promise<ApplyResult<T>> {
    const { clock, log, fieldManager } = this.#options;
    const changed = child.differences(live).map(({ path }) => path);
    const adopted = !child.isControlled(live);
    // Perhaps it has just been orphaned, by a deletion of the owner that the cache does not show: given its owner back, it would be
    // garbage-collected after it.
    if (child.givesOwner(live)) await this.#assertOwnerLives(live, child.owner, child.signal);
    const made = this.#normalizations.fields(live);
    const overwrite = overwriteOf(live.metadata.managedFields, fieldManager, changed);
    const object = await forceApply(this.#options, type, child, live);
    this.#wrote(type, child, object);
    this.#driftBackoff.wrote(restoreKey(type, live), child.hash, clock.monotonic(), overwrite);
    log.debug({ object: describe(child.manifest), changed, writers: overwrite.writers, adopted }, 'updated');
    const remade = this.#normalizations.fields(object);
    const undone = made.filter((path) => changed.includes(path) && !remade.includes(path));
    return { action: 'updated', object, changed, ...(adopted && { adopted }), ...(undone.length > 0 && { undone }) };
  }

  async #assertOwnerLives(child: KubeObject, owner: KubeObject, signal: AbortSignal | undefined): Promise<void> {
    const { client, ownerType } = this.#options;
    const live = await ignoreNotFound(client.get(ownerType, nameOf(owner), { signal }));
    if (live?.metadata.uid === owner.metadata.uid && !live?.metadata.deletionTimestamp) return;
    throw new OwnerGoneError(child, owner);
  }

  #read<T extends KubeObject>(type: ResourceType<T>, { manifest, signal }: DesiredChild<T>): Promise<T | undefined> {
    return ignoreNotFound(this.#options.client.get(type, nameOf(manifest), { signal }));
  }

  /** Remembers the response to a write, and whether the API server changed the manifest. */
  #wrote<T extends KubeObject>(type: ResourceType<T>, child: DesiredChild<T>, object: T): void {
    this.#recent.wrote(type, object);
    this.#normalizations.forget(object);
    const different = child.differences(object);
    if (different.length === 0) return this.#asDesired.wrote(object, child.quickDigest);
    const fields = different.map(({ path }) => path);
    this.#normalizations.set(object, { fingerprint: fingerprint(child.hash, different), fields });
    this.#options.log.warn(
      { object: describe(object), fields },
      'the API server, or a webhook, changed these fields when the object was written',
    );
  }
}

function restoreKey(type: ResourceType, object: KubeObject): string {
  return `${type.kind} ${keyOf(object)}`;
}
