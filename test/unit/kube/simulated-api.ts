import { setImmediate as turn } from 'node:timers/promises';
import type { ConfigMap } from '../../../src/kube/types/builtins.ts';
import type { ReflectorClient } from '../../../src/kube/cache/reflector-options.ts';
import type { KubeClient, ListOptions, PageOptions, WatchOptions } from '../../../src/kube/client/client.ts';
import { StatusError, TransportError } from '../../../src/kube/types/errors.ts';
import type { KubeObject, ObjectList, WatchEvent } from '../../../src/kube/types/types.ts';

export type SimulatedFault = 'reset' | 'end' | 'garbage' | 'expired' | 'error500' | 'silence' | 'throttled';

type Happened = { rv: number } & ({ type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: ConfigMap } | { type: 'BOOKMARK' });

export interface Backup {
  readonly rv: number;
  readonly objects: ReadonlyMap<string, ConfigMap>;
}

const request = { method: 'WATCH', path: '/simulated' };

/** The rules of the API server's list and watch, and nothing else: for histories that a real one could not be driven through. */
export class SimulatedApi implements ReflectorClient, Pick<KubeClient, 'ready'> {
  readonly objects = new Map<string, ConfigMap>();
  requests = 0;
  /** Of these, watches, whether they were opened or refused. */
  watches = 0;
  /** Nobody can connect to it. */
  down = false;
  /** How often it was asked whether it is ready, and answered or not. */
  probes = 0;
  /** Of these, complete lists that were begun. */
  lists = 0;
  openWatches = 0;
  streamsLists = true;
  /** Lists do not end before it. */
  listsEnd: Promise<void> = Promise.resolve();
  /** Namespaces that may not be listed and watched. */
  readonly forbidden = new Set<string | undefined>();
  /** Of the fault `throttled`. */
  retryAfterSeconds: number | undefined;
  #rv = 1000;
  #uid = 0;
  #history: Happened[] = [];
  #compacted = 0;
  #faults: SimulatedFault[] = [];
  /** Wakes the watches. */
  #changed = new AbortController();

  put(name: string, data?: Record<string, string>): void {
    const old = this.objects.get(name);
    const uid = old?.metadata.uid ?? `uid-${++this.#uid}`;
    const rv = ++this.#rv;
    const metadata = { name, namespace: 'a', uid, resourceVersion: `${rv}` };
    const object: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, ...(data && { data }) };
    this.objects.set(name, object);
    this.#happened({ rv, type: old ? 'MODIFIED' : 'ADDED', object });
  }

  remove(name: string): void {
    const old = this.objects.get(name);
    if (!old) return;
    this.objects.delete(name);
    const rv = ++this.#rv;
    const object = { ...old, metadata: { ...old.metadata, resourceVersion: `${rv}` } };
    this.#happened({ rv, type: 'DELETED', object });
  }

  bookmark(): void {
    this.#happened({ rv: ++this.#rv, type: 'BOOKMARK' });
  }

  /** Everything up to now can only be listed, not watched any more. */
  compact(): void {
    this.#compacted = this.#rv;
  }

  /** The data as they are now, for `restore`. */
  backUp(): Backup {
    return { rv: this.#rv, objects: new Map(this.objects) };
  }

  /** The data are those of the backup: versions go back, and a watch from those that a client knows receives nothing. */
  restore(backup: Backup): void {
    this.objects.clear();
    for (const [name, object] of backup.objects) this.objects.set(name, object);
    this.#history = [];
    this.#compacted = 0;
    this.#rv = backup.rv;
    this.#faults.push('reset');
    this.#wake();
  }

  /** Happens to the watch that is open, or to the next one. */
  fault(fault: SimulatedFault): void {
    this.#faults.push(fault);
    this.#wake();
  }

  recover(): void {
    this.#faults = this.#faults.filter((fault) => fault === 'reset');
  }

  /** Cuts every watch, and lets nobody connect until `down` is false again. */
  goDown(): void {
    this.down = true;
    this.#wake();
  }

  async ready(): Promise<void> {
    this.probes += 1;
    await turn();
    this.#throwIfDown();
  }

  /** Versions that the server has of the type; those of a request is v1. */
  versions = ['v1'];

  async servedVersions(): Promise<string[]> {
    this.#throwIfDown();
    return this.versions;
  }

  async list<T extends KubeObject>(
    type: unknown,
    { limit = Infinity, ...options }: PageOptions = {},
  ): Promise<ObjectList<T>> {
    const { items, resourceVersion } = await this.listAll<T>(type, options);
    return { items: items.slice(0, limit), resourceVersion };
  }

  async listAll<T extends KubeObject>(_: unknown, { namespace }: ListOptions = {}): Promise<ObjectList<T>> {
    this.requests += 1;
    await turn();
    this.#throwIfDown();
    this.#throwIfRefused(namespace);
    this.#throwIfThrottled();
    return { resourceVersion: `${this.#rv}`, items: [...this.objects.values()].map(copy) as unknown as T[] };
  }

  watch<T extends KubeObject>(_: unknown, options: WatchOptions = {}): AsyncIterable<WatchEvent<T>> {
    return this.#watch(options) as AsyncIterable<unknown> as AsyncIterable<WatchEvent<T>>;
  }

  async *#watch(options: WatchOptions): AsyncGenerator<WatchEvent<ConfigMap>> {
    const { sendInitialEvents, resourceVersion, signal, namespace } = options;
    this.requests += 1;
    this.watches += 1;
    this.openWatches += 1;
    try {
      await turn();
      this.#throwIfDown();
      this.#throwIfRefused(namespace);
      this.#throwIfThrottled();
      let sent = Number(resourceVersion ?? this.#rv);
      if (sendInitialEvents) {
        this.lists += 1;
        if (!this.streamsLists) throw new StatusError(request, { code: 422, reason: 'Invalid' });
        const snapshot = Array.from(this.objects.values());
        for (const object of snapshot) yield { type: 'ADDED', object: copy(object) };
        await this.listsEnd;
        const annotations = { 'k8s.io/initial-events-end': 'true' };
        yield { type: 'BOOKMARK', object: { metadata: { resourceVersion: `${sent}`, annotations } } };
      } else if (sent < this.#compacted) {
        throw new StatusError(request, { code: 410, reason: 'Expired' });
      }
      for (;;) {
        signal?.throwIfAborted();
        this.#throwIfDown();
        const fault = this.#faults.shift();
        if (fault === 'end') return;
        if (fault === 'reset' || fault === 'throttled') throw new TransportError(request, 'network', 'reset');
        if (fault === 'garbage') throw new TransportError(request, 'protocol', 'garbage');
        if (fault === 'expired') yield { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } };
        if (fault === 'error500') yield { type: 'ERROR', object: { kind: 'Status', code: 500 } };
        if (fault === 'silence') await until(signal);
        for (const event of this.#history.filter(({ rv }) => rv > sent)) {
          sent = event.rv;
          if (event.type !== 'BOOKMARK') yield { type: event.type, object: copy(event.object) };
          else yield { type: 'BOOKMARK', object: { metadata: { resourceVersion: `${event.rv}` } } };
        }
        const upToDate = this.#history.every(({ rv }) => rv <= sent);
        if (this.#faults.length === 0 && upToDate) await until(signal, this.#changed.signal);
      }
    } finally {
      this.openWatches -= 1;
    }
  }

  #throwIfDown(): void {
    if (this.down) throw new TransportError(request, 'network', 'connection refused', { notSent: true });
  }

  #throwIfRefused(namespace: string | undefined): void {
    if (!this.versions.includes('v1')) throw new StatusError(request, { code: 404, reason: 'NotFound' });
    if (this.forbidden.has(namespace)) throw new StatusError(request, { code: 403, reason: 'Forbidden' });
  }

  #throwIfThrottled(): void {
    if (this.#faults[0] !== 'throttled') return;
    this.#faults.shift();
    const details = this.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: this.retryAfterSeconds };
    throw new StatusError(request, { code: 429, details });
  }

  #happened(event: Happened): void {
    this.#history.push(event);
    this.#wake();
  }

  #wake(): void {
    this.#changed.abort();
    this.#changed = new AbortController();
  }
}

function copy(object: ConfigMap): ConfigMap {
  return structuredClone(object);
}

function until(...signals: (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      if (signal?.aborted) resolve();
      signal?.addEventListener('abort', () => resolve(), { once: true });
    }
  });
}
