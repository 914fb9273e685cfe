import type { Logger } from 'pino';
import { fingerprint, Task, type ApplyOptions } from './apply-task.ts';
import type { KubeClient } from '../client/client.ts';
import type { Clock } from '../clock/clock.ts';
import { RestoreLimiter } from './restore-limiter.ts';
import { isAlreadyExists, isConflict, isInvalid, StatusError } from '../types/errors.ts';
import type { InformerLike } from '../cache/informer.ts';
import { LruMap } from '../cache/lru.ts';
import { moveToApply } from './managed-fields.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import { describe, ForeignObjectError, isControlledBy, OwnerGoneError } from '../types/owner.ts';
import { RecentWrites } from './recent-writes.ts';
import { InvalidObjectError, refusalOf } from './refusal.ts';
import { pathOf, type ResourceType } from '../types/resource.ts';
import { keyOf, nameOf, type KubeObject } from '../types/types.ts';

export type { ApplyOptions } from './apply-task.ts';
export { InvalidObjectError } from './refusal.ts';

/**
 * What came of an apply:
 * - `created`, `updated`: written.
 * - `unchanged`: everything desired is there; nothing was sent.
 * - `terminating`: the live object is being deleted; it can be made again once it is gone (its deletion is an event).
 * - `deferred`: another writer keeps undoing our fields; the next restoration is due after `retryAfterMs`.
 */
export type ApplyAction = 'created' | 'updated' | 'unchanged' | 'terminating' | 'deferred';

export interface ApplyResult<T extends KubeObject> {
  action: ApplyAction;
  /** The newest known state of the object. */
  object: T;
  /** Paths of the fields that were not as desired (never their values). */
  changed: string[];
  /** Only with `deferred`: ms. */
  retryAfterMs?: number;
}

export interface ApplierOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Type of the owners, to look them up live when in doubt. */
  ownerType: ResourceType;
  /** Under this name our fields stand in `managedFields`. It must never change. */
  fieldManager: string;
  /** Annotation that holds the hash of what was applied last. */
  hashAnnotation: string;
}

/** How often somebody else may change an object's managed fields under our hands before the reconcile is tried again. */
const MAX_CONFLICTS = 5;
const MAX_NORMALIZED = 10_000;

/** Writes children: creates by POST, updates by server-side apply, and only on difference (docs/adr/0007-create-then-apply.md). */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #recent: RecentWrites;
  readonly #restores = new RestoreLimiter();
  /** By UID: what the API server (a webhook, say) made of a manifest. Applying it again would only be changed again. */
  readonly #normalized = new LruMap<string, string>(MAX_NORMALIZED);
  /** By live object: the desired state that it was seen to have. While neither changes, as mostly, nothing is compared. */
  readonly #asDesired = new WeakMap<KubeObject, string>();

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#recent = new RecentWrites(options.clock);
  }

  /** Lets the applier see when this cache has caught up with its writes, which saves a read now and then. */
  follow(informer: InformerLike): void {
    this.#recent.follow(informer);
  }

  /**
   * Makes the live object have everything that `desired` has. `live` is what the cache knows, however late it is.
   * Throws ForeignObjectError, OwnerGoneError, InvalidObjectError, or the client's errors.
   */
  async apply<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T | undefined,
    owner: KubeObject,
    options: ApplyOptions<T> = {},
  ): Promise<ApplyResult<T>> {
    const task = new Task(desired, owner, this.#options.hashAnnotation, options);
    const known = this.#recent.newest(type, desired, live);
    const object = known.uncertain ? await this.#read(type, task) : known.object;
    return object ? this.#reconcile(type, task, object) : this.#create(type, task);
  }

  /**
   * Whether `apply` would write, judged from the cache and our own writes alone: for whoever must decide on the order of
   * writes before the first one. False for an object that is not ours.
   */
  wouldWrite<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T | undefined,
    owner: KubeObject,
    options: ApplyOptions<T> = {},
  ): boolean {
    const task = new Task(desired, owner, this.#options.hashAnnotation, options);
    const { object } = this.#recent.newest(type, desired, live);
    if (object === undefined) return true;
    return task.isOurs(object) && this.#settled(task, object) === undefined;
  }

  /** Deletes a child if it is ours, by UID. True when a deletion was sent; false when it was gone or on its way. */
  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    live: T,
    owner: KubeObject,
    options: ApplyOptions<T> & { propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' } = {},
  ): Promise<boolean> {
    const { uid, deletionTimestamp } = live.metadata;
    if (!uid || deletionTimestamp) return false;
    if (!(options.isOurs?.(live) ?? isControlledBy(live, owner))) throw new ForeignObjectError(live, live);
    const { propagationPolicy = 'Background', signal } = options;
    this.#recent.forget(type, live);
    try {
      await ignoreNotFound(this.#options.client.delete(type, nameOf(live), { uid, propagationPolicy, signal }));
      return true;
    } catch (error) {
      // Another object has the name by now: the one that was meant is gone.
      if (isConflict(error)) return false;
      throw error;
    }
  }

  async #create<T extends KubeObject>(type: ResourceType<T>, task: Task<T>): Promise<ApplyResult<T>> {
    const { client, fieldManager } = this.#options;
    const ownerUid = task.owner.metadata.uid ?? '';
    // Made before and gone: the owner may be gone too, and its deletion late. Without a look its children would be made
    // and collected again and again.
    if (this.#recent.wasCreated(type, task.manifest, ownerUid)) await this.#assertOwnerLives(task);
    try {
      const object = await client.create(type, task.manifest, { fieldManager, signal: task.signal });
      this.#recent.created(type, object, ownerUid);
      this.#wrote(type, task, object);
      return { action: 'created', object, changed: [] };
    } catch (error) {
      if (!isAlreadyExists(error)) throw refusalOf(task.manifest, error);
      const object = await this.#read(type, task);
      if (!object) throw error;
      this.#recent.wrote(type, object);
      return this.#reconcile(type, task, object);
    }
  }

  async #reconcile<T extends KubeObject>(type: ResourceType<T>, task: Task<T>, known: T): Promise<ApplyResult<T>> {
    const settled = this.#settled(task, known) ?? this.#deferred(type, task, known);
    if (settled) return settled;
    // The cache has no managed fields and may be late: nothing is written for what only the cache believes.
    const object = await this.#read(type, task);
    if (!task.isCurrent(object)) {
      const message = `${describe(task.manifest)} has changed since its new state was decided`;
      const request = { method: 'PATCH', path: pathOf(type, nameOf(task.manifest)) };
      throw new StatusError(request, { code: 409, reason: 'Conflict', message });
    }
    if (!object) return this.#create(type, task);
    this.#recent.wrote(type, object);
    const reallySettled = this.#settled(task, object);
    if (reallySettled) return reallySettled;
    return this.#update(type, task, object);
  }

  /** The result, when nothing is to be written. */
  #settled<T extends KubeObject>(task: Task<T>, object: T): ApplyResult<T> | undefined {
    if (!task.isOurs(object)) throw new ForeignObjectError(task.manifest, object);
    if (object.metadata.deletionTimestamp) return { action: 'terminating', object, changed: [] };
    if (this.#asDesired.get(object) === task.quickDigest) return { action: 'unchanged', object, changed: [] };
    const different = task.differences(object);
    if (different.length === 0) this.#asDesired.set(object, task.quickDigest);
    else if (this.#normalized.get(object.metadata.uid ?? '') !== fingerprint(task.hash, different)) {
      return undefined;
    }
    return { action: 'unchanged', object, changed: [] };
  }

  /** The result, when an update must wait because somebody undoes it again and again. */
  #deferred<T extends KubeObject>(type: ResourceType<T>, task: Task<T>, object: T): ApplyResult<T> | undefined {
    const retryAfterMs = this.#restores.waitMs(restoreKey(type, object), task.hash, this.#options.clock.monotonic());
    if (retryAfterMs === 0) return undefined;
    return { action: 'deferred', object, changed: task.differences(object).map(({ path }) => path), retryAfterMs };
  }

  async #update<T extends KubeObject>(type: ResourceType<T>, task: Task<T>, live: T): Promise<ApplyResult<T>> {
    const { clock, log } = this.#options;
    const changed = task.differences(live).map(({ path }) => path);
    await this.#moveToApply(type, task, live);
    const object = await this.#force(type, task, live);
    this.#wrote(type, task, object);
    this.#restores.wrote(restoreKey(type, live), task.hash, clock.monotonic());
    log.debug({ object: describe(task.manifest), changed }, 'updated');
    return { action: 'updated', object, changed };
  }

  async #force<T extends KubeObject>(type: ResourceType<T>, task: Task<T>, live: T): Promise<T> {
    const { client, fieldManager, log } = this.#options;
    const desired = { ...task.manifest, metadata: { ...task.manifest.metadata, uid: live.metadata.uid } };
    const apply = (): Promise<T> => client.apply<T>(type, desired, { fieldManager, force: true, signal: task.signal });
    try {
      return await apply();
    } catch (error) {
      const refusal = refusalOf(task.manifest, error);
      const { spec } = task.manifest as T & { spec?: unknown };
      if (!(refusal instanceof InvalidObjectError) || refusal.immutable || spec === undefined) throw refusal;
      // Apply adds to what others have set, and some fields exclude each other: RollingUpdate's parameters and Recreate, one
      // probe handler and another. Then everything that was there makes way.
      const patch = [
        { op: 'test', path: '/metadata/uid', value: live.metadata.uid },
        { op: 'replace', path: '/spec', value: spec },
      ];
      const options = { contentType: 'application/json-patch+json', fieldManager, signal: task.signal } as const;
      await client.patch(type, nameOf(live), patch, options).catch((failure: unknown) => {
        throw isInvalid(failure) ? refusal : failure;
      });
      log.warn(
        { object: describe(live), fields: refusal.fields },
        'what others had set excluded ours: the spec was replaced',
      );
      return apply();
    }
  }

  /** Moves fields that a create left under Update to Apply, once in the life of an object. */
  async #moveToApply<T extends KubeObject>(type: ResourceType<T>, task: Task<T>, live: T): Promise<void> {
    const { client, fieldManager } = this.#options;
    let current: T | undefined = live;
    for (let attempt = 1; current && current.metadata.uid === live.metadata.uid; attempt++) {
      const managedFields = moveToApply(current.metadata.managedFields, fieldManager);
      if (!managedFields) return;
      const patch = [
        { op: 'replace', path: '/metadata/managedFields', value: managedFields },
        // Makes the API server refuse the patch when anything has changed since the read.
        { op: 'replace', path: '/metadata/resourceVersion', value: current.metadata.resourceVersion },
      ];
      try {
        const contentType = 'application/json-patch+json';
        await client.patch(type, nameOf(live), patch, { contentType, fieldManager, signal: task.signal });
        return;
      } catch (error) {
        if (!isConflict(error) || attempt === MAX_CONFLICTS) throw error;
        current = await this.#read(type, task);
      }
    }
  }

  async #assertOwnerLives<T extends KubeObject>({ owner, manifest, signal }: Task<T>): Promise<void> {
    const { client, ownerType } = this.#options;
    const live = await ignoreNotFound(client.get(ownerType, nameOf(owner), { signal }));
    if (live?.metadata.uid === owner.metadata.uid && !live?.metadata.deletionTimestamp) return;
    throw new OwnerGoneError(manifest, owner);
  }

  #read<T extends KubeObject>(type: ResourceType<T>, { manifest, signal }: Task<T>): Promise<T | undefined> {
    return ignoreNotFound(this.#options.client.get(type, nameOf(manifest), { signal }));
  }

  /** Remembers an answer, and what the API server made of the manifest if that is not what was sent. */
  #wrote<T extends KubeObject>(type: ResourceType<T>, task: Task<T>, object: T): void {
    this.#recent.wrote(type, object);
    const { uid = '' } = object.metadata;
    this.#normalized.delete(uid);
    const different = task.differences(object);
    if (different.length === 0) return;
    this.#normalized.set(uid, fingerprint(task.hash, different));
    const fields = different.map(({ path }) => path);
    this.#options.log.warn(
      { object: describe(object), fields },
      'the API server changes these fields as they are written',
    );
  }
}

function restoreKey(type: ResourceType, object: KubeObject): string {
  return `${type.kind} ${keyOf(object)}`;
}
