/** Leader election with a Lease, and the write gate through which only the leader can write. */
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import type { Clock, Random } from '../clock/clock.ts';
import { Lease } from '../types/builtins.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../types/errors.ts';
import type { KubeClient } from '../client/client.ts';
import { newLeaseSpec, releasedLeaseSpec, renewedLeaseSpec, type LeaseHolder } from './lease-spec.ts';
import type { Metrics } from './metrics.ts';

/** A write was refused because this process is not, or no longer surely, the leader. */
export class LeadershipLostError extends Error {
  override readonly name = 'LeadershipLostError';
}

/** Which lease, for whom, and how long. */
export interface LeaderElectorOptions {
  /** Not behind the write gate, which the elector opens. */
  client: Pick<KubeClient, 'get' | 'create' | 'update'>;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /** Of the Lease. */
  namespace: string;
  name: string;
  /** Unique to this process (the pod's name and a random suffix): the holder recognizes itself by it. */
  identity: string;
  /** Of the Lease, while this process holds it: what others must know of the holder. */
  annotations?: Readonly<Record<string, string>> | undefined;
  /** ms that others wait after the last change they observed before they acquire the lease. Default 15,000. */
  leaseDurationMs?: number | undefined;
  /** ms after its last renewal when the holder stops writing. Default 10,000. */
  renewDeadlineMs?: number | undefined;
  /** ms between attempts. Default 2,000. */
  retryPeriodMs?: number | undefined;
}

/** As in client-go: attempts to acquire are between one and 2.2 retry periods apart. */
const JITTER_FACTOR = 1.2;

/**
 * Leader election by a Lease, with client-go's rules: candidates in Go and these can compete for one lease.
 *
 * Times in the Lease are never compared with our clock: a lease has expired if no change of it was observed for its duration. So
 * clocks may be wrong by any amount, as long as they run at about the same speed.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  /** The lease as last observed, and when (monotonic) a change of it was last observed. */
  #observed: { lease: Lease; at: number } | undefined;
  /** Monotonic time at which the last successful renewal was sent: others can't have observed it earlier. */
  #renewedAt: number | undefined;
  #reportedHolder: string | undefined;

  constructor(options: LeaderElectorOptions) {
    const { leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2_000 } = options;
    if (leaseDurationMs <= renewDeadlineMs) {
      throw new Error(
        `lease duration (${leaseDurationMs} ms) must be longer than the renew deadline (${renewDeadlineMs} ms)`,
      );
    }
    if (renewDeadlineMs <= retryPeriodMs * JITTER_FACTOR) {
      throw new Error(
        `renew deadline (${renewDeadlineMs} ms) must be longer than ${JITTER_FACTOR} retry periods (${retryPeriodMs} ms)`,
      );
    }
    this.#options = options;
    this.#leaseDurationMs = leaseDurationMs;
    this.#renewDeadlineMs = renewDeadlineMs;
    this.#retryPeriodMs = retryPeriodMs;
    options.metrics.leader(options.name, false);
  }

  /** Whether this process may write now: it holds the lease, and renewed it less than the renew deadline ago. */
  isLeader(): boolean {
    return this.#renewedAt !== undefined && this.#options.clock.monotonic() - this.#renewedAt < this.#renewDeadlineMs;
  }

  /**
   * For the client, before every write. Throws LeadershipLostError unless the lease is surely held. It reads the clock and no
   * flag: after a pause of the process (a paused container, a long garbage collection) a flag would still be set.
   */
  readonly writeGate = (): void => {
    if (this.isLeader()) return;
    const { name, identity, clock } = this.#options;
    const state =
      this.#renewedAt === undefined
        ? `does not hold lease "${name}"`
        : `last renewed lease "${name}" ${Math.round(clock.monotonic() - this.#renewedAt)} ms ago`;
    throw new LeadershipLostError(`write refused: ${identity} ${state}`);
  };

  /** Tries until this process holds the lease (true) or the signal aborts (false). */
  async acquire(signal: AbortSignal): Promise<boolean> {
    const { log, metrics, name, identity, clock, random } = this.#options;
    log.info({ lease: name, identity }, 'waiting for the lease');
    while (!signal.aborted) {
      if (await this.#tryAcquireOrRenew(signal)) {
        metrics.leader(name, true);
        log.info({ lease: name, identity }, 'became leader');
        return true;
      }
      await clock.sleep(this.#retryPeriodMs * (1 + random() * JITTER_FACTOR), signal).catch(() => undefined);
    }
    return false;
  }

  /** Keeps the lease; resolves to `stopped` when the signal aborts (then call `release`), to `lost` when it is lost. */
  async renew(signal: AbortSignal): Promise<'stopped' | 'lost'> {
    const { log, metrics, name, identity, clock } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(this.#retryPeriodMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      if (await this.#renewInTime(signal)) continue;
      // After a pause of the process the deadline has passed already; the attempt above has checked the lease again.
      if (this.isLeader() && this.#isHolder()) continue;
      if (signal.aborted) break;
      this.#renewedAt = undefined;
      metrics.leader(name, false);
      log.error({ lease: name, identity, holder: this.holder }, 'lost the lease');
      return 'lost';
    }
    return 'stopped';
  }

  /** Releases the lease, so that the next leader need not wait for it to expire. Call it when nothing writes any more. */
  async release(): Promise<void> {
    const { log, metrics, name, client } = this.#options;
    if (this.#renewedAt === undefined) return;
    this.#renewedAt = undefined;
    metrics.leader(name, false);
    try {
      const lease = await client.get(Lease, this.#options, { deadlineMs: this.#requestDeadlineMs() });
      if (lease.spec?.holderIdentity !== this.#options.identity) return;
      const spec = releasedLeaseSpec(lease.spec, this.#options.clock.now());
      await client.update(Lease, { ...lease, spec }, { deadlineMs: this.#requestDeadlineMs() });
      log.info({ lease: name }, 'released the lease');
    } catch (error) {
      log.warn({ err: error, lease: name }, 'failed to release the lease; the next leader waits until it expires');
    }
  }

  /** The holder of the lease as last observed; `''` if there is none. */
  get holder(): string {
    return this.#observed?.lease.spec?.holderIdentity ?? '';
  }

  /**
   * One attempt, with all its requests, until the renew deadline: another may lead soon after it, and until the loss is declared
   * nothing aborts the work of this process. After a pause it lasts one retry period at most.
   */
  async #renewInTime(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const deadlineAt = (this.#renewedAt ?? 0) + this.#renewDeadlineMs;
    const limitMs = Math.max(deadlineAt - clock.monotonic(), this.#retryPeriodMs);
    const attempt = new AbortController();
    using _stop = onAbort(signal, (reason) => attempt.abort(reason));
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = clock.setTimer(limitMs, () => {
      attempt.abort(new Error('the renew deadline has passed'));
      resolve(false);
    });
    try {
      return await Promise.race([this.#tryAcquireOrRenew(attempt.signal), late]);
    } finally {
      timer.cancel();
    }
  }

  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { client, clock, log, metrics, name, namespace } = this.#options;
    const sentAt = clock.monotonic();
    const call = { signal, deadlineMs: this.#requestDeadlineMs() };
    try {
      // The common case: the lease has not changed since we wrote it, so no read is necessary.
      if (this.#observed && this.#isHolder() && !this.#hasExpired(this.#observed)) {
        try {
          return this.#won(await client.update(Lease, this.#renewed(this.#observed.lease), call), sentAt, signal);
        } catch (error) {
          metrics.leaseSlowPath(name);
          log.warn({ err: error, lease: name }, 'failed to renew the lease as last observed; reading it');
          if (!isConflict(error) && !isNotFound(error)) return false;
        }
      }
      const live = await this.#read(call);
      if (!live) {
        const metadata = this.#annotated({ name, namespace });
        const spec = newLeaseSpec(this.#self, clock.now());
        const lease: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
        return this.#won(await client.create(Lease, lease, call), sentAt, signal);
      }
      this.#observe(live);
      const observed = this.#observed;
      if (observed && this.holder !== '' && !this.#isHolder() && !this.#hasExpired(observed)) return false;
      return this.#won(await client.update(Lease, this.#renewed(live), call), sentAt, signal);
    } catch (error) {
      // Another candidate was faster: not worth a log entry.
      if (!isConflict(error) && !isAlreadyExists(error))
        log.warn({ err: error, lease: name }, 'failed to acquire or renew the lease');
      return false;
    }
  }

  async #read(call: { signal: AbortSignal; deadlineMs: number }): Promise<Lease | undefined> {
    try {
      return await this.#options.client.get(Lease, this.#options, call);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** False if the attempt was given up before its response came: the loss may be declared by now, and the gate must not open again. */
  #won(lease: Lease, sentAt: number, signal: AbortSignal): boolean {
    if (signal.aborted) return false;
    this.#observed = { lease, at: this.#options.clock.monotonic() };
    this.#renewedAt = sentAt;
    this.#reportHolder();
    return true;
  }

  /** A change of the spec is a sign of life of the holder; a change of the metadata is not. */
  #observe(lease: Lease): void {
    const before = this.#observed;
    const same = before && JSON.stringify(before.lease.spec) === JSON.stringify(lease.spec);
    this.#observed = { lease, at: same ? before.at : this.#options.clock.monotonic() };
    this.#reportHolder();
  }

  #reportHolder(): void {
    const { log, name } = this.#options;
    if (this.#reportedHolder === this.holder) return;
    this.#reportedHolder = this.holder;
    log.info({ lease: name, leader: this.holder }, 'new leader');
  }

  #isHolder(): boolean {
    return this.holder === this.#options.identity;
  }

  /** By the duration in the lease, which need not be ours. */
  #hasExpired({ lease, at }: { lease: Lease; at: number }): boolean {
    const seconds = lease.spec?.leaseDurationSeconds ?? this.#leaseDurationMs / 1000;
    return this.#options.clock.monotonic() - at >= seconds * 1000;
  }

  get #self(): LeaseHolder {
    return { identity: this.#options.identity, durationMs: this.#leaseDurationMs };
  }

  /** The lease with our claim; its resourceVersion makes the update fail if another candidate has changed it. */
  #renewed(lease: Lease): Lease {
    const metadata = this.#annotated(lease.metadata);
    return { ...lease, metadata, spec: renewedLeaseSpec(lease.spec, this.#self, this.#options.clock.now()) };
  }

  #annotated<M extends Lease['metadata']>(metadata: M): M {
    const { annotations } = this.#options;
    return annotations === undefined
      ? metadata
      : { ...metadata, annotations: { ...metadata.annotations, ...annotations } };
  }

  /** Half the renew deadline, so that one hanging request leaves time for another attempt. */
  #requestDeadlineMs(): number {
    return this.#renewDeadlineMs / 2;
  }
}
