/** The logs of pods of a test's namespace, followed from their start, so that also those of pods that are gone can be told. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../src/kube/client/client.ts';
import type { Transport } from '../../src/kube/client/transport.ts';
import { toError } from '../../src/kube/types/errors.ts';
import { Pod } from '../../src/kube/types/builtins.ts';
import { adminKubeconfig, type TestNamespace } from './cluster.ts';
import { connect } from './kube.ts';

/** How often it is looked for further pods, and again for a log that is not there yet, ms. */
const LOOK_MS = 500;
/** Lines that are kept of each pod. */
const KEPT_LINES = 1000;

interface Followed {
  readonly lines: string[];
  /** Why it was not read on, if it was not to its end. */
  problem?: string;
}

/** Of the pods that a label selects, each with its default container. */
export class PodLogs implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #pods = new Map<string, Followed>();
  readonly #following: Promise<unknown>[] = [];
  readonly #close: () => Promise<void>;
  #problem: string | undefined;

  /** Follows until it is disposed of, which is done with the namespace. */
  static follow(namespace: TestNamespace, labelSelector: string): PodLogs {
    const { client, transport, ...connection } = connect(adminKubeconfig());
    const logs = new PodLogs(async () => connection[Symbol.asyncDispose]());
    logs.#following.push(logs.#look({ client, transport, namespace: namespace.name, labelSelector }));
    return namespace.use(logs);
  }

  private constructor(close: () => Promise<void>) {
    this.#close = close;
  }

  /** The last lines of each pod, oldest pod first. */
  tail(lines: number): string {
    const pods = Array.from(this.#pods, ([name, { lines: all, problem }]) => {
      const end = problem === undefined ? '' : `\n(${problem})`;
      return `--- ${name}\n${all.slice(-lines).join('\n')}${end}`;
    });
    return [...pods, ...(this.#problem === undefined ? [] : [`no further pods are known: ${this.#problem}`])].join(
      '\n',
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#following);
    await this.#close();
  }

  async #look(at: Place): Promise<void> {
    const { client, namespace, labelSelector } = at;
    const { signal } = this.#stop;
    try {
      for (;;) {
        const { items } = await client.list(Pod, { namespace, labelSelector });
        for (const { metadata, status } of items) {
          const isStarted = status?.containerStatuses?.some(({ state }) => state?.running !== undefined) === true;
          if (!isStarted || this.#pods.has(metadata.name)) continue;
          const followed: Followed = { lines: [] };
          this.#pods.set(metadata.name, followed);
          this.#following.push(this.#read(at, metadata.name, followed));
        }
        await sleep(LOOK_MS, undefined, { signal });
      }
    } catch (error) {
      if (!signal.aborted) this.#problem = toError(error).message;
    }
  }

  async #read({ transport, namespace }: Place, pod: string, followed: Followed): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods/${pod}/log`;
    let rest = '';
    try {
      const chunks = transport.stream({ method: 'GET', path, query: { follow: true }, signal: this.#stop.signal });
      for await (const chunk of chunks) {
        const lines = `${rest}${chunk.toString()}`.split('\n');
        rest = lines.pop() ?? '';
        followed.lines.push(...lines);
        followed.lines.splice(0, followed.lines.length - KEPT_LINES);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) followed.problem = toError(error).message;
    }
  }
}

interface Place {
  readonly client: Client;
  readonly transport: Transport;
  readonly namespace: string;
  readonly labelSelector: string;
}
