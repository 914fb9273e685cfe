import { expect } from '@jest/globals';
import { ConfigMap, Namespace } from '../../../src/kube/types/builtins.ts';
import type { Client } from '../../../src/kube/client/client.ts';
import type { Clock } from '../../../src/kube/clock/clock.ts';
import { Informer, type InformerOptions } from '../../../src/kube/cache/informer.ts';
import type { ReflectorObserver } from '../../../src/kube/cache/reflector-options.ts';
import type { RelistReason } from '../../../src/kube/cache/relist.ts';
import { keyOf } from '../../../src/kube/types/types.ts';
import type { ApiServer } from '../../support/apiserver.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { configMap, connect } from '../../support/kube.ts';
import { waitFor } from '../../support/wait.ts';

export interface WatchedOptions {
  /** Time of the informer and its client. Default: a FakeClock, so that the test need not wait for back-offs. */
  clock?: Clock;
  /** Objects besides `kept`, `changed`, `deleted` and `recreated`. */
  more?: number;
  /** Called before the informer starts: for faults of the first list. */
  before?: (proxy: FaultProxy) => void;
  /** Do not wait for the first list. */
  started?: boolean;
  informer?: Partial<InformerOptions<ConfigMap>>;
}

let counter = 0;

/**
 * An informer of the ConfigMaps of a namespace of its own, behind a fault proxy, and a client directly to the API server. Disposing
 * stops the informer and fails the test if a watch, a connection or a timer is left.
 */
export class Watched implements AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly informer: Informer<ConfigMap>;
  readonly namespace: string;
  readonly clock: Clock;
  /** How each list or watch ended, and when (ms of the clock). */
  readonly ends: { reason: RelistReason; at: number }[] = [];
  /** A copy built from the events of a handler: it must equal the store in the end. */
  readonly copy = new Map<string, string>();
  readonly received: string[] = [];
  readonly #direct: ReturnType<typeof connect>;
  readonly #proxied: ReturnType<typeof connect>;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  private constructor(apiServer: ApiServer, proxy: FaultProxy, namespace: string, options: WatchedOptions) {
    const { clock = new FakeClock() } = options;
    const random = (): number => 0;
    this.clock = clock;
    this.proxy = proxy;
    this.namespace = namespace;
    this.#direct = connect(apiServer.kubeconfig());
    this.#proxied = connect(apiServer.kubeconfig({ server: proxy.url }), { clock, random });
    const observer: ReflectorObserver = {
      watchEnded: (_, reason) => void this.ends.push({ reason, at: clock.monotonic() }),
    };
    const { client } = this.#proxied;
    const namespaces = [namespace];
    this.informer = new Informer({
      client,
      type: ConfigMap,
      clock,
      random,
      namespaces,
      observer,
      freeze: true,
      ...options.informer,
    });
    this.informer.addHandler({
      onAdd: (object) => this.#receive('add', object),
      onUpdate: (_, object) => this.#receive('update', object),
      onDelete: (object) => this.#receive('delete', object),
    });
    options.before?.(proxy);
    this.#done = Promise.resolve().then(() => this.informer.run(this.#stop.signal));
  }

  static async start(apiServer: ApiServer, options: WatchedOptions = {}): Promise<Watched> {
    const namespace = `watched-${process.pid}-${counter++}`;
    await using c = connect(apiServer.kubeconfig());
    await c.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    for (const name of ['kept', 'changed', 'deleted', 'recreated'])
      await c.client.create(ConfigMap, configMap(namespace, name));
    const todo = Array.from({ length: options.more ?? 0 }, (_, i) => `more-${i}`);
    const worker = async (): Promise<void> => {
      for (let name = todo.pop(); name; name = todo.pop()) await c.client.create(ConfigMap, configMap(namespace, name));
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    const watched = new Watched(apiServer, await FaultProxy.start(apiServer), namespace, options);
    if (options.started !== false) await watched.informer.waitForSync(AbortSignal.timeout(30_000));
    return watched;
  }

  /** Directly to the API server. */
  get client(): Client {
    return this.#direct.client;
  }

  /** One of everything that can happen to an object. */
  async changeEverything(): Promise<void> {
    const { client, namespace } = this;
    const uidOf = async (name: string): Promise<string> =>
      (await client.get(ConfigMap, { namespace, name })).metadata.uid ?? '';
    await client.create(ConfigMap, configMap(namespace, 'created'));
    await client.apply(ConfigMap, configMap(namespace, 'changed', { now: 'different' }), { fieldManager: 'test' });
    for (const name of ['deleted', 'recreated'])
      await client.delete(ConfigMap, { namespace, name }, { uid: await uidOf(name) });
    await client.create(ConfigMap, configMap(namespace, 'recreated'));
  }

  /** Waits until the store and the copy equal the state of the API server. */
  async expectNothingMissed(withinMs = 15_000): Promise<void> {
    await waitFor(
      'the store equals a fresh list',
      async () => {
        await this.passTime(400);
        const live = versions((await this.client.list(ConfigMap, { namespace: this.namespace })).items);
        expect(versions(this.informer.store.list())).toEqual(live);
        expect(Object.fromEntries(this.copy)).toEqual(live);
        return true;
      },
      { withinMs },
    );
  }

  get reasons(): RelistReason[] {
    return this.ends.map(({ reason }) => reason);
  }

  /** Moves a FakeClock; a real one moves by itself. Some real time passes as well, for the network. */
  async passTime(ms: number): Promise<void> {
    if (this.clock instanceof FakeClock) await this.clock.advance(ms);
    await this.client.get(ConfigMap, { namespace: this.namespace, name: 'kept' });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
      await waitFor('no watch is left open', () => this.proxy.openWatches().length === 0);
      await this.#proxied.transport.close();
      await waitFor('no connection is left', () => this.proxy.openConnections === 0);
      expect(this.proxy.pendingFaults).toBe(0);
    } finally {
      await this.#direct.transport.close();
      await this.proxy.stop();
    }
  }

  #receive(what: string, object: ConfigMap): void {
    this.received.push(`${what} ${object.metadata.name}`);
    if (what === 'delete') this.copy.delete(keyOf(object));
    else this.copy.set(keyOf(object), versionOf(object));
  }
}

function versionOf({ metadata }: ConfigMap): string {
  return `${metadata.uid} ${metadata.resourceVersion}`;
}

function versions(objects: ConfigMap[]): Record<string, string> {
  return Object.fromEntries(objects.map((object) => [keyOf(object), versionOf(object)]));
}
