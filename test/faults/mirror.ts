/**
 * What an API server has, followed by one watch of each type for all lives together: to look at it costs no request. After `caughtUp` it
 * is never older than a write that was answered before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WatchOptions } from '../../src/kube/client/client.ts';
import { toError, TransportError } from '../../src/kube/types/errors.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { KubeObject, NamespacedName, WatchEvent } from '../../src/kube/types/types.ts';
import { versionIn } from '../support/watch-relay.ts';

/** How long an event may take that the API server owes its watches; ms. */
const CAUGHT_UP_WITHIN_MS = 30_000;

/** What the answer to a write says of the object: its version from then on, or the UID of what is gone. */
export interface Answer {
  readonly version?: number;
  readonly gone?: string;
}

/** Reads the answer to a write from the beginning of its JSON. */
export function answerOf(text: string): Answer {
  const gone = /"status":"Success","details":\{[^}]*"uid":"([^"]+)"/.exec(text)?.[1];
  if (gone !== undefined) return { gone };
  const version = versionIn(text);
  return version === undefined ? {} : { version };
}

/** What is known of one namespace. */
class Space {
  /** By UID. */
  readonly objects = new Map<string, [ResourceType, KubeObject]>();
  /** Versions and labels of what was changed, in order, by resource. */
  readonly changes = new Map<string, { version: number; labels: Record<string, string> }[]>();
}

export class Mirror {
  readonly #client: Client;
  readonly #stop = new AbortController();
  readonly #watches: Promise<void>[];
  readonly #spaces = new Map<string, Space>();
  /** By resource: the newest version that its watch has shown. */
  readonly #versions = new Map<string, number>();
  #expected: { readonly resource: string; readonly answer: Answer }[] = [];
  #failure: Error | undefined;

  /** Follows these types, from what there is now. */
  static async start(client: Client, types: readonly ResourceType[]): Promise<Mirror> {
    const mirror = new Mirror(client, types);
    for (const { plural } of types) mirror.#expected.push({ resource: plural, answer: { version: 1 } });
    await mirror.caughtUp();
    return mirror;
  }

  private constructor(client: Client, types: readonly ResourceType[]) {
    this.#client = client;
    this.#watches = types.map((type) => {
      this.#versions.set(type.plural, 0);
      return this.#follow(type).catch((error: unknown) => {
        this.#failure ??= toError(error);
      });
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#watches);
  }

  /** From now on this namespace, which is empty, is known. */
  open(namespace: string): void {
    this.#spaces.set(namespace, new Space());
  }

  /** What is left in this namespace does not matter any more. */
  forget(namespace: string): void {
    this.#spaces.delete(namespace);
  }

  /** Everything in a namespace, or what there is of these types. */
  objects(namespace: string, types?: readonly ResourceType[]): [ResourceType, KubeObject][] {
    const all = [...this.#space(namespace).objects.values()];
    return types === undefined ? all : all.filter(([{ plural }]) => types.some((type) => type.plural === plural));
  }

  list<T extends KubeObject>(type: ResourceType<T>, namespace: string): T[] {
    return this.objects(namespace, [type as ResourceType]).map(([, object]) => object as T);
  }

  get<T extends KubeObject>(type: ResourceType<T>, { namespace, name }: NamespacedName): T | undefined {
    return this.list(type, namespace).find(({ metadata }) => metadata.name === name);
  }

  /** The newest version that a watch of these objects has to show; 0: none has to. */
  newest(namespace: string, resource: string, selector: string): number {
    const changes = this.#space(namespace).changes.get(resource) ?? [];
    return changes.findLast(({ labels }) => selects(selector, labels))?.version ?? 0;
  }

  /** A write was answered: `caughtUp` waits for what it has changed. */
  expect(resource: string, answer: Answer): void {
    if (this.#versions.has(resource)) this.#expected.push({ resource, answer });
  }

  /** Every write that was answered until now can be seen. */
  async caughtUp(): Promise<void> {
    const endsAt = performance.now() + CAUGHT_UP_WITHIN_MS;
    for (;;) {
      if (this.#failure !== undefined) throw toError(this.#failure);
      this.#expected = this.#expected.filter(({ resource, answer }) => !this.#shows(resource, answer));
      const [missing] = this.#expected;
      if (missing === undefined) return;
      if (performance.now() > endsAt) {
        const at = this.#versions.get(missing.resource);
        throw new Error(`the watch of ${missing.resource}, at ${at}, does not show ${JSON.stringify(missing.answer)}`);
      }
      await sleep(1);
    }
  }

  #shows(resource: string, { version = 0, gone }: Answer): boolean {
    if (gone !== undefined) return ![...this.#spaces.values()].some(({ objects }) => objects.has(gone));
    return (this.#versions.get(resource) ?? 0) >= version;
  }

  #space(namespace: string): Space {
    const space = this.#spaces.get(namespace);
    if (space === undefined) throw new Error(`namespace ${namespace} is not open`);
    return space;
  }

  async #follow(type: ResourceType): Promise<void> {
    const { signal } = this.#stop;
    let from: WatchOptions = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
    // The API server ends every watch some time.
    while (!signal.aborted) {
      try {
        for await (const event of this.#client.watch(type, { ...from, allowWatchBookmarks: true, signal })) {
          this.#take(type, event);
        }
      } catch (error) {
        if (signal.aborted) return;
        const resumable = error instanceof TransportError && this.#versions.get(type.plural) !== 0;
        if (!resumable) throw error;
      }
      from = { resourceVersion: String(this.#versions.get(type.plural)) };
    }
  }

  #take(type: ResourceType, event: WatchEvent<KubeObject>): void {
    if (event.type === 'ERROR') throw new Error(`watch of ${type.plural}: ${event.object.message}`);
    const version = Number(event.object.metadata.resourceVersion);
    if (event.type !== 'BOOKMARK') {
      const { uid = '', namespace = '', labels = {} } = event.object.metadata;
      const space = this.#spaces.get(namespace);
      if (event.type === 'DELETED') space?.objects.delete(uid);
      else space?.objects.set(uid, [type, event.object]);
      const changes = space?.changes.get(type.plural) ?? [];
      changes.push({ version, labels });
      space?.changes.set(type.plural, changes);
    }
    // The first events are in no order.
    this.#versions.set(type.plural, Math.max(this.#versions.get(type.plural) ?? 0, version));
  }
}

/** `a=b,c`: the label a is b, and there is a label c. */
function selects(selector: string, labels: Record<string, string>): boolean {
  return selector
    .split(',')
    .filter((term) => term !== '')
    .every((term) => {
      const [key = '', value] = term.split('=');
      return value === undefined ? key in labels : labels[key] === value;
    });
}
