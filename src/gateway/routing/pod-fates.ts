/** Asks the API server what became of pods. */
import type { KubeClient } from '../../kube/client/client.ts';
import { Pod } from '../../kube/types/builtins.ts';
import { toError } from '../../kube/types/errors.ts';
import type { PodFate, PodFates } from '../model.ts';
import { decidePodFate } from './pod-fate.ts';

interface Lists {
  readonly under: Promise<readonly Pod[]>;
  next?: Promise<readonly Pod[]>;
}

/** Many sessions of a lost server ask at once: those of one namespace share a list. */
export class ListedPodFates implements PodFates {
  readonly #client: Pick<KubeClient, 'listAll'>;
  /** By namespace: the list that is under way, and the one that follows. */
  readonly #lists = new Map<string, Lists>();

  constructor(client: Pick<KubeClient, 'listAll'>) {
    this.#client = client;
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
    const lists = this.#lists.get(namespace);
    if (lists === undefined) return this.#begin(namespace);
    const begin = () => this.#begin(namespace);
    lists.next ??= lists.under.then(begin, begin);
    return lists.next;
  }

  /** All pods: a label selector would miss one whose labels were changed, and UIDs cannot be selected. */
  #begin(namespace: string): Promise<readonly Pod[]> {
    const under = this.#client.listAll(Pod, { namespace }).then(({ items }) => items);
    const lists: Lists = { under };
    this.#lists.set(namespace, lists);
    const forget = (): void => {
      if (this.#lists.get(namespace) === lists && lists.next === undefined) this.#lists.delete(namespace);
    };
    under.then(forget, forget);
    return under;
  }
}
