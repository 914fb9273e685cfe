import type { ResourceType } from './resource.ts';
import type { KubeObject, NamespacedName, ObjectList, WatchEvent } from './types.ts';

/** For every call: who may end it early, and when it ends by itself. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** ms for the whole call, waits for Retry-After included. Default: the transport's (30 s). */
  deadlineMs?: number | undefined;
}

export interface ListOptions extends CallOptions {
  /** Only this namespace; all of them when absent. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  /** Default: the most recent data (a consistent read). */
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}

export interface PageOptions extends ListOptions {
  /** Objects a page. Default: no limit. */
  limit?: number | undefined;
  continue?: string | undefined;
}

export interface WatchOptions extends ListOptions {
  /** The server ends the watch after this many seconds. */
  timeoutSeconds?: number | undefined;
  allowWatchBookmarks?: boolean | undefined;
  /** Begin with an ADDED event for every object there is, then a bookmark annotated `k8s.io/initial-events-end`. */
  sendInitialEvents?: boolean | undefined;
}

export interface WriteOptions extends CallOptions {
  fieldManager?: string | undefined;
  dryRun?: boolean | undefined;
}

export interface ApplyOptions extends WriteOptions {
  fieldManager: string;
  /** Take over fields that another manager owns. Without it such a field is a conflict. */
  force?: boolean | undefined;
  subresource?: string | undefined;
}

export interface PatchOptions extends WriteOptions {
  contentType:
    'application/json-patch+json' | 'application/merge-patch+json' | 'application/strategic-merge-patch+json';
  subresource?: string | undefined;
}

export interface UpdateOptions extends WriteOptions {
  subresource?: string | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** Only the object that was meant is deleted, never a new one of its name. */
  uid: string;
  resourceVersion?: string | undefined;
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
  gracePeriodSeconds?: number | undefined;
  dryRun?: boolean | undefined;
}

/**
 * What reconcilers take. Every method throws StatusError when the server refused and TransportError when there was no answer;
 * after a TransportError of a write (unless `notSent`) nobody knows whether it happened.
 */
export interface KubeClient {
  get<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName, options?: CallOptions): Promise<T>;
  /** One page (everything, without `limit`). */
  list<T extends KubeObject>(type: ResourceType<T>, options?: PageOptions): Promise<ObjectList<T>>;
  /** Everything, in pages of 500; listed again in one piece when the pages expire on the way. */
  listAll<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<ObjectList<T>>;
  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;
  /** Server-side apply: `object` holds the fields to be owned. `metadata.uid` in it makes it a precondition. */
  apply<T extends KubeObject>(type: ResourceType<T>, object: KubeObject, options: ApplyOptions): Promise<T>;
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    ref: NamespacedName,
    body: unknown,
    options: PatchOptions,
  ): Promise<T>;
  /** PUT: needs the resourceVersion that was read, or overwrites whatever is there. */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, options?: UpdateOptions): Promise<T>;
  delete<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName, options: DeleteOptions): Promise<void>;
  /** Ends when the server ends it; throws otherwise. Leaving the loop, or the signal, closes it. */
  watch<T extends KubeObject>(type: ResourceType<T>, options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
}
