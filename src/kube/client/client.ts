/** The typed client: get, list, create, apply, patch, update, delete and watch, over the transport. */
import { isGone } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import { apiVersionOf, pathOf, type ResourceType } from '../types/resource.ts';
import { nameOf, type KubeObject, type NamespacedName, type ObjectList, type WatchEvent } from '../types/types.ts';
import type { Method, Query, Transport, TransportRequest } from './transport.ts';
import { watchEvents } from './watch.ts';

/** For every call: what cancels it, and its deadline. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** ms for the whole call, waits for Retry-After included. Default: the transport's (30 s). */
  deadlineMs?: number | undefined;
}

/** For a GET. */
export interface GetOptions extends CallOptions {
  /** False: the object is read without its managed fields, which is most of what reading it costs. Default true. */
  managedFields?: boolean | undefined;
}

/** Which objects to list. */
export interface ListOptions extends CallOptions {
  /** Only this namespace; all of them when absent. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  /** Default: the most recent data (a consistent read). */
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}

/** A list in pages. */
export interface PageOptions extends ListOptions {
  /** Objects a page. Default: no limit. */
  limit?: number | undefined;
  continue?: string | undefined;
}

/** Which objects to watch, and from where. */
export interface WatchOptions extends ListOptions {
  /** The server ends the watch after this many seconds. */
  timeoutSeconds?: number | undefined;
  allowWatchBookmarks?: boolean | undefined;
  /** Begin with an ADDED event for every object there is, then a bookmark annotated `k8s.io/initial-events-end`. */
  sendInitialEvents?: boolean | undefined;
}

/** For every write. */
export interface WriteOptions extends CallOptions {
  fieldManager?: string | undefined;
  dryRun?: boolean | undefined;
}

/** For server-side apply. */
export interface ApplyOptions extends WriteOptions {
  fieldManager: string;
  /** Take over fields that another manager owns. Without it such a field is a conflict. */
  force?: boolean | undefined;
  subresource?: string | undefined;
}

/** For a patch. */
export interface PatchOptions extends WriteOptions {
  contentType:
    'application/json-patch+json' | 'application/merge-patch+json' | 'application/strategic-merge-patch+json';
  subresource?: string | undefined;
}

/** For a PUT. */
export interface UpdateOptions extends WriteOptions {
  subresource?: string | undefined;
}

/** For a deletion; `uid` is required as precondition. */
export interface DeleteOptions extends CallOptions {
  /** A precondition: a new object of the same name is not deleted. */
  uid: string;
  resourceVersion?: string | undefined;
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
  gracePeriodSeconds?: number | undefined;
}

/**
 * The client as reconcilers use it. Every method throws StatusError if the server refused and TransportError if there was no response;
 * after a TransportError of a write (unless `notSent`) the write may or may not have happened. Only what `get` and `list` return
 * has managed fields (`get` unless told otherwise).
 */
export interface KubeClient {
  get<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName, options?: GetOptions): Promise<T>;
  /** One page (everything, without `limit`). */
  list<T extends KubeObject>(type: ResourceType<T>, options?: PageOptions): Promise<ObjectList<T>>;
  /** Everything, in pages of 500; listed again without pages if these expire meanwhile. */
  listAll<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<ObjectList<T>>;
  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;
  /** Server-side apply: `object` holds the fields to own; `metadata.uid` in it is a precondition. */
  apply<T extends KubeObject>(type: ResourceType<T>, object: KubeObject, options: ApplyOptions): Promise<T>;
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    ref: NamespacedName,
    body: unknown,
    options: PatchOptions,
  ): Promise<T>;
  /** PUT: with the resourceVersion that was read; without it any newer state is overwritten. */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, options?: UpdateOptions): Promise<T>;
  delete<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName, options: DeleteOptions): Promise<void>;
  /** Ends when the server ends it; throws otherwise. Leaving the loop closes it, and so does the signal. */
  watch<T extends KubeObject>(type: ResourceType<T>, options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** The versions in which the API server has this type; none if it does not know the type. */
  servedVersions(type: ResourceType, options?: CallOptions): Promise<string[]>;
  /** Throws unless the API server answers and is ready for requests. One attempt, without a retry. */
  ready(options?: CallOptions): Promise<void>;
}

/** Objects a page of `listAll`. */
const PAGE_SIZE = 500;

/** What a client needs. */
export interface ClientOptions {
  transport: Transport;
  /** Called before every attempt of every write, retries included; throws if this process must not write (it is not the leader). */
  writeGate?: (() => void) | undefined;
}

/** KubeClient over HTTP. */
export class Client implements KubeClient {
  readonly #transport: Transport;
  readonly #writeGate: (() => void) | undefined;

  constructor({ transport, writeGate }: ClientOptions) {
    this.#transport = transport;
    this.#writeGate = writeGate;
  }

  get<T extends KubeObject>(type: ResourceType<T>, ref: NamespacedName, options: GetOptions = {}): Promise<T> {
    const slim = options.managedFields === false;
    return this.#transport.request<T>({ ...call(options), method: 'GET', path: pathOf(type, ref), slim });
  }

  async list<T extends KubeObject>(type: ResourceType<T>, options: PageOptions = {}): Promise<ObjectList<T>> {
    const { limit, continue: token } = options;
    const list = await this.#transport.request<WireList<T>>({
      ...call(options),
      method: 'GET',
      path: pathOf(type, { namespace: options.namespace }),
      query: { ...selection(options), limit, continue: token },
    });
    const apiVersion = apiVersionOf(type);
    return {
      resourceVersion: list.metadata.resourceVersion,
      ...(list.metadata.continue && { continue: list.metadata.continue }),
      // Items of a list of a built-in type carry neither; those of a watch do.
      items: (list.items ?? []).map((item) => Object.assign(item, { apiVersion, kind: type.kind })),
    };
  }

  async listAll<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
    let page = await this.list(type, { ...options, limit: PAGE_SIZE });
    const items = page.items;
    while (page.continue) {
      // Further pages are of the same snapshot; the server refuses a resourceVersion beside the continue token.
      const next = { ...options, resourceVersion: undefined, resourceVersionMatch: undefined, continue: page.continue };
      try {
        page = await this.list(type, { ...next, limit: PAGE_SIZE });
      } catch (error) {
        // The snapshot was compacted meanwhile. A list without pages, however large, can't expire half-way.
        if (isGone(error)) return await this.list(type, options);
        throw error;
      }
      for (const item of page.items) items.push(item);
    }
    return { resourceVersion: page.resourceVersion, items };
  }

  create<T extends KubeObject>(type: ResourceType<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace } = object.metadata;
    return this.#write<T>('POST', pathOf(type, { namespace }), object, options, {});
  }

  apply<T extends KubeObject>(type: ResourceType<T>, object: KubeObject, options: ApplyOptions): Promise<T> {
    const { subresource, force } = options;
    return this.#write<T>('PATCH', pathOf(type, { ...nameOf(object), subresource }), object, options, {
      contentType: 'application/apply-patch+yaml',
      query: { force },
      idempotent: true,
    });
  }

  patch<T extends KubeObject>(
    type: ResourceType<T>,
    ref: NamespacedName,
    body: unknown,
    options: PatchOptions,
  ): Promise<T> {
    const { subresource, contentType } = options;
    return this.#write<T>('PATCH', pathOf(type, { ...ref, subresource }), body, options, { contentType });
  }

  update<T extends KubeObject>(type: ResourceType<T>, object: T, options: UpdateOptions = {}): Promise<T> {
    return this.#write<T>(
      'PUT',
      pathOf(type, { ...nameOf(object), subresource: options.subresource }),
      object,
      options,
      {},
    );
  }

  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    ref: NamespacedName,
    options: DeleteOptions,
  ): Promise<void> {
    const { uid, resourceVersion, propagationPolicy, gracePeriodSeconds } = options;
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid, resourceVersion },
      propagationPolicy,
      gracePeriodSeconds,
    };
    await this.#write('DELETE', pathOf(type, ref), body, options, {});
  }

  watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions = {}): AsyncIterable<WatchEvent<T>> {
    const { timeoutSeconds, allowWatchBookmarks, sendInitialEvents } = options;
    const path = pathOf(type, { namespace: options.namespace });
    const query = { ...selection(options), watch: true, timeoutSeconds, allowWatchBookmarks, sendInitialEvents };
    const chunks = this.#transport.stream({ ...call(options), method: 'GET', path, query });
    return watchEvents<T>({ method: 'WATCH', path }, chunks);
  }

  async servedVersions({ group, plural, version }: ResourceType, options: CallOptions = {}): Promise<string[]> {
    // The core group has another document, and is always there.
    if (group === '') return [version];
    const read = <T>(path: string): Promise<T | undefined> =>
      ignoreNotFound(this.#transport.request<T>({ ...call(options), method: 'GET', path }));
    const found = await read<WireGroup>(`/apis/${group}`);
    const served = (found?.versions ?? []).map(async (candidate) => {
      const list = await read<WireResources>(`/apis/${group}/${candidate.version}`);
      return list?.resources.some(({ name }) => name === plural) ? [candidate.version] : [];
    });
    return (await Promise.all(served)).flat();
  }

  async ready(options: CallOptions = {}): Promise<void> {
    const request = { ...call(options), method: 'GET', path: '/readyz' } as const;
    await this.#transport.probe(request);
  }

  #write<T>(
    method: Method,
    path: string,
    body: unknown,
    options: WriteOptions,
    more: Partial<TransportRequest>,
  ): Promise<T> {
    const { fieldManager, dryRun } = options;
    const query = { ...more.query, fieldManager, dryRun: dryRun ? 'All' : undefined };
    return this.#transport.request<T>({
      ...call(options),
      ...more,
      method,
      path,
      query,
      body,
      slim: true,
      beforeSend: this.#writeGate,
    });
  }
}

interface WireList<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[] | null;
}

/** APIGroup and APIResourceList, as far as they are read. */
interface WireGroup {
  versions: { version: string }[];
}
interface WireResources {
  resources: { name: string }[];
}

function call({ signal, deadlineMs }: CallOptions): CallOptions {
  return { signal, deadlineMs };
}

function selection(options: ListOptions): Query {
  const { labelSelector, fieldSelector, resourceVersion, resourceVersionMatch } = options;
  return { labelSelector, fieldSelector, resourceVersion, resourceVersionMatch };
}
