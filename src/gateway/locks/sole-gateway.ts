/** That no second gateway runs beside one whose coordination store is its memory: each would know of its own sessions only. */
import type { Logger } from 'pino';
import { FIELD_MANAGER, GATEWAY_APP_NAME, Label } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { newLeaseSpec, releasedLeaseSpec, renewedLeaseSpec } from '../../kube/runtime/lease-spec.ts';
import { Lease } from '../../kube/types/builtins.ts';
import { ConfigError, isAlreadyExists, isConflict, isNotFound, toError } from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';

export interface SoleGatewayOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'update'>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The gateway's own. */
  readonly namespace: string;
  /** Name of this pod, whose process of before has ended. */
  readonly pod: string;
  /** No other process has it. */
  readonly id: string;
}

const NAME = `${GATEWAY_APP_NAME}-memory`;
/** How long the Lease is left to its holder after the last change that was seen, how often it is renewed and looked at, and for one request, ms. */
const TIMES = { lease: 15_000, renew: 3_000, look: 1_000, request: 3_000 } as const;

/** The Lease as it was seen first. */
interface Seen {
  readonly sign: string;
  /** Monotonic ms. */
  readonly since: number;
}

export class SoleGateway {
  readonly #options: SoleGatewayOptions;
  readonly #identity: string;
  /** As it was written or read last; undefined: it is not this process's. */
  #lease: Lease | undefined;
  /** Of the last failure, which is logged once. */
  #problem = '';

  constructor(options: SoleGatewayOptions) {
    this.#options = options;
    this.#identity = `${options.pod}_${options.id}`;
  }

  /** Resolves when no other gateway runs. A holder that has died is waited for. @throws ConfigError if another one runs, and the reason of `stop` */
  async claim(stop: AbortSignal): Promise<void> {
    let seen: Seen | undefined;
    for (;;) {
      stop.throwIfAborted();
      seen = await this.#tried(stop, seen, () => this.#claimOnce(stop, seen));
      if (this.#lease !== undefined) return;
      await this.#options.clock.sleep(TIMES.look, stop);
    }
  }

  /** Keeps it until `stop` aborts. @throws Error if another gateway has taken it */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.#options.clock.sleep(TIMES.renew, stop);
      await this.#tried(stop, undefined, () => this.#renew(stop));
    }
  }

  /** Gives it up, so that the next one need not wait. */
  async release(): Promise<void> {
    const { client, clock, log } = this.#options;
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease?.spec === undefined) return;
    try {
      const spec = releasedLeaseSpec(lease.spec, clock.now());
      await client.update(Lease, { ...lease, spec }, { deadlineMs: TIMES.request });
    } catch (error) {
      log.warn({ err: error, lease: NAME }, 'failed to release the Lease; the next gateway waits until it expires');
    }
  }

  /** Returns what was seen first. */
  async #claimOnce(stop: AbortSignal, before: Seen | undefined): Promise<Seen> {
    const { client, clock, namespace, pod } = this.#options;
    const options = { signal: stop, deadlineMs: TIMES.request };
    const lease = await ignoreNotFound(client.get(Lease, { namespace, name: NAME }, options));
    const { holderIdentity: holder = '', renewTime = '' } = lease?.spec ?? {};
    const sign = `${holder} ${renewTime}`;
    const now = clock.monotonic();
    const seen = before?.sign === sign ? before : { sign, since: now };
    const isFree = holder === '' || holder.startsWith(`${pod}_`);
    // Whoever renews it lives, whatever the clocks of the two say.
    if (!isFree && before !== undefined && seen !== before) throw taken(holder);
    if (isFree || now - seen.since >= TIMES.lease) this.#lease = await unlessFaster(this.#write(lease, stop), lease);
    return seen;
  }

  async #renew(stop: AbortSignal): Promise<void> {
    const { client, namespace } = this.#options;
    if (this.#lease === undefined) return;
    const written = await unlessFaster(this.#write(this.#lease, stop), this.#lease);
    if (written !== undefined) return void (this.#lease = written);
    const options = { signal: stop, deadlineMs: TIMES.request };
    const found = await ignoreNotFound(client.get(Lease, { namespace, name: NAME }, options));
    const holder = found?.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== this.#identity) throw taken(holder);
    // Somebody has changed or deleted it, and has not taken it.
    this.#lease = found ?? (await this.#write(undefined, stop));
  }

  #write(before: Lease | undefined, signal: AbortSignal): Promise<Lease> {
    const { client, clock, namespace } = this.#options;
    const options = { signal, deadlineMs: TIMES.request };
    const holder = { identity: this.#identity, durationMs: TIMES.lease };
    if (before !== undefined)
      return client.update(Lease, { ...before, spec: renewedLeaseSpec(before.spec, holder, clock.now()) }, options);
    const labels = { [Label.name]: GATEWAY_APP_NAME, [Label.partOf]: FIELD_MANAGER };
    const metadata = { name: NAME, namespace, labels };
    const spec = newLeaseSpec(holder, clock.now());
    return client.create(Lease, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }, options);
  }

  /** What fails is logged once, and tried again by who calls; but for that another gateway runs. */
  async #tried<T>(stop: AbortSignal, otherwise: T, attempt: () => Promise<T>): Promise<T> {
    try {
      const result = await attempt();
      this.#problem = '';
      return result;
    } catch (error) {
      if (error instanceof ConfigError || stop.aborted) throw error;
      const { message } = toError(error);
      if (message !== this.#problem)
        this.#options.log.warn({ error: message, lease: NAME }, 'the Lease of the one gateway cannot be written');
      this.#problem = message;
      return otherwise;
    }
  }
}

function taken(holder: string): ConfigError {
  return new ConfigError(
    `--coordination=memory is for a gateway with one replica, and ${holder.replace(/_.*/, '')} runs: ` +
      'scale the Deployment to 1 (kubectl scale --replicas=1), or set gateway.coordination.type of the chart to kubernetes or redis',
  );
}

/** Undefined: somebody was faster. `before`: what is replaced. */
async function unlessFaster(write: Promise<Lease>, before: Lease | undefined): Promise<Lease | undefined> {
  try {
    return await write;
  } catch (error) {
    // Of one that is created it says that the namespace does not exist.
    const isDeleted = before !== undefined && isNotFound(error);
    if (isConflict(error) || isAlreadyExists(error) || isDeleted) return undefined;
    throw error;
  }
}
