/** Requests for Leases, of which each operation makes some within one deadline. */
import type { KubeClient } from '../../../kube/client/client.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { Lease } from '../../../kube/types/builtins.ts';
import { isAlreadyExists, isConflict, isGone, isNotFound } from '../../../kube/types/errors.ts';
import { ignoreNotFound } from '../../../kube/types/not-found.ts';
import type { AvailabilityBoard } from '../availability.ts';
import { CoordinationUnavailableError } from '../store.ts';
import { explainKubernetes } from './explain.ts';

export interface LeasesOptions {
  readonly client: Pick<KubeClient, 'get' | 'list' | 'create' | 'update' | 'delete'>;
  readonly clock: Clock;
  /** The gateway's own. */
  readonly namespace: string;
  readonly board: AvailabilityBoard;
}

/** ms for all requests of one operation. */
const OPERATION_MS = 5_000;
/**
 * From an operation that the API server did not answer to the look whether it does, ms. The first one comes soon where it was waited for in vain:
 * nothing else is asked until it answers, and one answer may be late alone.
 */
const PROBE_MS = { first: 500, next: 5_000 } as const;
const PROBE_NAME = 'copilot-session-probe';
const PAGE = 500;

/** The requests of one operation. */
export interface Requests {
  get(name: string): Promise<Lease | undefined>;
  /** False: somebody was faster. `before`: what is replaced; undefined: it is created. */
  put(lease: Lease, before: Lease | undefined): Promise<boolean>;
  /** False: somebody was faster. */
  remove(lease: Lease): Promise<boolean>;
  /** In pages; all at once if these expire meanwhile. */
  list(labelSelector: string): AsyncIterable<Lease[]>;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #stop = new AbortController();
  #probe: { cancel(): void } | undefined;
  /** Why nothing is asked now: the last operation has waited for an answer until its end. Undefined: it has not. */
  #silence: CoordinationUnavailableError | undefined;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  get namespace(): string {
    return this.#options.namespace;
  }

  /** @throws CoordinationUnavailableError */
  async run<T>(operation: (requests: Requests) => Promise<T>): Promise<T> {
    try {
      this.#checkOpen();
      const result = await operation(this.#requests());
      this.#answered();
      return result;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async *list(labelSelector: string): AsyncIterable<Lease[]> {
    try {
      this.#checkOpen();
      // Each page has the time of an operation.
      yield* this.#requests(() => OPERATION_MS).list(labelSelector);
      this.#answered();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  close(): void {
    this.#stop.abort(new Error('closed'));
    this.#probe?.cancel();
  }

  #checkOpen(): void {
    if (this.#stop.signal.aborted)
      throw new CoordinationUnavailableError('Closed', 'this process has closed the coordination store');
    if (this.#silence !== undefined) throw this.#silence;
  }

  #answered(): void {
    this.#silence = undefined;
    this.#options.board.answered();
  }

  #explain(error: unknown): unknown {
    // A wrong argument, or an exhausted epoch: nothing is wrong with the store.
    if (error instanceof RangeError || error === this.#silence) return error;
    const problem = explainKubernetes(error);
    if (problem.reason === 'Closed' || problem.reason === 'Unreadable') return problem;
    this.#options.board.failed(problem);
    const isFirst = problem.reason === 'TimedOut' && this.#silence === undefined;
    // Whatever else is said is said at once, and may be so of one request only.
    this.#silence = problem.reason === 'TimedOut' ? problem : undefined;
    // The other reasons are not mended by an answer to a read.
    if (['Unreachable', 'TimedOut', 'NotServing'].includes(problem.reason))
      this.#probeLater(isFirst ? PROBE_MS.first : PROBE_MS.next);
    return problem;
  }

  #requests(left: () => number = this.#countdown()): Requests {
    const { client, namespace } = this.#options;
    const call = () => ({ signal: this.#stop.signal, deadlineMs: left() });
    return {
      get: (name) => ignoreNotFound(client.get(Lease, { namespace, name }, { ...call(), managedFields: false })),
      put: (lease, before) =>
        unlessFaster(before === undefined ? client.create(Lease, lease, call()) : client.update(Lease, lease, call())),
      remove: ({ metadata: { name, uid = '', resourceVersion } }) =>
        unlessFaster(client.delete(Lease, { namespace, name }, { uid, resourceVersion, ...call() })),
      list: (labelSelector) => this.#pages(labelSelector, call),
    };
  }

  async *#pages(labelSelector: string, call: () => object): AsyncIterable<Lease[]> {
    const { client, namespace } = this.#options;
    let next: string | undefined;
    do {
      try {
        const page = await client.list(Lease, { namespace, labelSelector, limit: PAGE, continue: next, ...call() });
        next = page.continue;
        yield page.items;
      } catch (error) {
        if (!isGone(error)) throw error;
        yield (await client.list(Lease, { namespace, labelSelector, ...call() })).items;
        return;
      }
    } while (next);
  }

  #countdown(): () => number {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + OPERATION_MS;
    return () => Math.max(1, deadline - clock.monotonic());
  }

  /** Finds out whether it answers again, also if nobody asks anything. */
  #probeLater(ms: number): void {
    const { clock, client, namespace } = this.#options;
    if (this.#probe !== undefined || this.#stop.signal.aborted) return;
    this.#probe = clock.setTimer(ms, () => {
      this.#probe = undefined;
      const { signal } = this.#stop;
      ignoreNotFound(client.get(Lease, { namespace, name: PROBE_NAME }, { signal, deadlineMs: OPERATION_MS })).then(
        () => this.#answered(),
        (error: unknown) => void this.#explain(error),
      );
    });
  }
}

async function unlessFaster(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (isConflict(error) || isAlreadyExists(error) || isNotFound(error)) return false;
    throw error;
  }
}
