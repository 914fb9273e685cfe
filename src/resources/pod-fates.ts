/** Asks the API server what became of pods. */
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { Pod } from '../kube/types/builtins.ts';
import { toError } from '../kube/types/errors.ts';
import { decidePodFate, type PodFate, type PodFates } from './pod-fate.ts';

export interface ListedPodFatesOptions {
  readonly client: Pick<KubeClient, 'listAll'>;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
}

/**
 * From the begin of a list of a namespace to that of the next one, in ms. While a node is lost each of its sessions asks again and again,
 * and a list has all pods of the namespace.
 */
const GAP_MS = 1_000;

/** The last list of a namespace. */
interface Last {
  /** Resolves when another list may begin, however this one ends. */
  readonly over: Promise<void>;
  next?: Promise<readonly Pod[]>;
}

/** Many sessions of a lost server ask at once: those of one namespace share a list. */
export class ListedPodFates implements PodFates {
  readonly #options: ListedPodFatesOptions;
  /** By namespace. */
  readonly #last = new Map<string, Last>();

  constructor(options: ListedPodFatesOptions) {
    this.#options = options;
  }

  async fateOf(namespace: string, podUID: string): Promise<PodFate> {
    try {
      const pods = await this.#list(namespace);
      return decidePodFate(
        podUID,
        pods.find(({ metadata }) => metadata.uid === podUID),
      );
    } catch (error) {
      const message = `the API server does not say what became of pod ${podUID}: ${toError(error).message}`;
      return { reason: 'Unknown', isGone: false, message };
    }
  }

  /** A list that begins now or later: one that has begun may be older than the pod, and would say that it does not exist. */
  #list(namespace: string): Promise<readonly Pod[]> {
    const last = this.#last.get(namespace);
    if (last === undefined) return this.#begin(namespace);
    last.next ??= last.over.then(() => this.#begin(namespace));
    return last.next;
  }

  /** All pods: a label selector would miss one whose labels were changed, and UIDs cannot be selected. */
  #begin(namespace: string): Promise<readonly Pod[]> {
    const { client, clock } = this.#options;
    const begunAt = clock.monotonic();
    const found = client.listAll(Pod, { namespace }).then(({ items }) => items);
    const rest = (): Promise<void> => clock.sleep(Math.max(0, begunAt + GAP_MS - clock.monotonic()));
    const last: Last = { over: found.then(rest, rest) };
    this.#last.set(namespace, last);
    void last.over.then(() => {
      if (last.next === undefined && this.#last.get(namespace) === last) this.#last.delete(namespace);
    });
    return found;
  }
}
