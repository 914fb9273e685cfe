/** The Lease of this replica: created or taken over, renewed, and given up at the end. */
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { releasedLeaseSpec } from '../../kube/runtime/lease-spec.ts';
import { Lease } from '../../kube/types/builtins.ts';
import { isConflict, isNotFound, toError } from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { newLease, renewedLease, type LeaseContent } from './lease.ts';
import { TIMES } from './state.ts';

/** What an own Lease needs. */
export interface OwnLeaseOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'update' | 'delete'>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly namespace: string;
  /** What it says now: another id after `lost`. */
  readonly content: () => LeaseContent;
  /** It was created or renewed by a request that was sent at `sentAt`, monotonic ms. */
  readonly renewed: (sentAt: number) => void;
  /** It was held by a process with this id before, which has ended. */
  readonly succeeded: (id: string) => void;
  /** It was deleted, or another process has taken it: this id may be taken for dead. */
  readonly lost: () => void;
}

/** After a failed attempt, ms. */
const RETRY_MS = 1_000;
/** For one request, so that another one has time before the replica may not act any more, ms. */
const REQUEST_MS = TIMES.act / 3;

/** Unlike a lease that several compete for, it is never created again under the same id: who has deleted it relies on that. */
export class OwnLease {
  readonly #options: OwnLeaseOptions;
  /** As it was last written or read; undefined: it is to be created, or taken over. */
  #lease: Lease | undefined;
  #wake: () => void = () => undefined;
  /** What was wrong the last time, which is logged once. */
  #problem = '';

  constructor(options: OwnLeaseOptions) {
    this.#options = options;
  }

  /** Keeps it until `stop` aborts. It never rejects. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const isDone = await this.#attempt(stop);
      await this.#rest(isDone ? TIMES.renew : RETRY_MS, stop);
    }
  }

  /** It says something else now, or under another id: it is written at once. */
  changed(): void {
    this.#wake();
  }

  /** This id is not used any more: the next attempt takes the Lease over under another one. */
  forget(): void {
    this.#lease = undefined;
    this.#wake();
  }

  /** Gives it up, so that others need not wait until it expires. */
  async release(): Promise<void> {
    const { client, clock, log } = this.#options;
    const lease = this.#lease;
    if (lease?.spec === undefined) return;
    this.#lease = undefined;
    const options = { deadlineMs: REQUEST_MS };
    try {
      const released = await client.update(
        Lease,
        { ...lease, spec: releasedLeaseSpec(lease.spec, clock.now()) },
        options,
      );
      const { name, namespace = '', uid = '', resourceVersion } = released.metadata;
      await client.delete(Lease, { name, namespace }, { uid, resourceVersion, ...options });
    } catch (error) {
      log.warn(
        { err: error, lease: lease.metadata.name },
        'failed to release the Lease; other replicas wait until it expires',
      );
    }
  }

  /** Whether it was written. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { clock, log, content } = this.#options;
    const sentAt = clock.monotonic();
    const { id } = content().self;
    try {
      const written = await this.#write(signal);
      // Meanwhile the id may have been found dead.
      if (content().self.id !== id) return false;
      this.#lease = written;
      this.#options.renewed(sentAt);
      this.#problem = '';
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (isNotFound(error)) this.#lose();
      else if (isConflict(error)) await this.#readAgain(signal);
      const problem = toError(error).message;
      if (problem !== this.#problem)
        log.warn({ error: problem, lease: content().self.lease }, 'failed to renew the Lease of this replica');
      this.#problem = problem;
      return false;
    }
  }

  async #write(signal: AbortSignal): Promise<Lease> {
    const { client, clock, namespace, content, succeeded } = this.#options;
    const options = { signal, deadlineMs: REQUEST_MS };
    if (this.#lease !== undefined) {
      return await client.update(Lease, renewedLease(this.#lease, content(), clock.now()), options);
    }
    const name = content().self.lease;
    const found = await ignoreNotFound(client.get(Lease, { namespace, name }, options));
    if (found === undefined) return await client.create(Lease, newLease(namespace, content(), clock.now()), options);
    const taken = await client.update(Lease, renewedLease(found, content(), clock.now()), options);
    const before = found.spec?.holderIdentity ?? '';
    if (before !== '' && before !== content().self.id) succeeded(before);
    return taken;
  }

  /** Somebody has changed it: if only its metadata, it is still ours. */
  async #readAgain(signal: AbortSignal): Promise<void> {
    const { client, namespace, content } = this.#options;
    const { id, lease: name } = content().self;
    try {
      const found = await ignoreNotFound(client.get(Lease, { namespace, name }, { signal, deadlineMs: REQUEST_MS }));
      if (content().self.id !== id) return;
      if (found?.spec?.holderIdentity === id) this.#lease = found;
      else if (this.#lease !== undefined) this.#lose();
    } catch (error) {
      // The next attempt meets the same conflict.
      if (!signal.aborted) this.#problem = toError(error).message;
    }
  }

  #lose(): void {
    this.#lease = undefined;
    this.#options.lost();
  }

  async #rest(ms: number, stop: AbortSignal): Promise<void> {
    const rest = new AbortController();
    this.#wake = () => rest.abort();
    await this.#options.clock.sleep(ms, AbortSignal.any([stop, rest.signal])).catch((error: unknown) => {
      if (!stop.aborted && !rest.signal.aborted) throw error;
    });
  }
}
