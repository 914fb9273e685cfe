/** Asks the operator for the tenants to be woken that clients of this replica wait for, again and again until they are awake. */
import { Annotation } from '../api/names.ts';
import type { KubeClient } from '../kube/client/client.ts';
import { onAbort } from '../kube/clock/abort.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { askInternalPort, type Credentials } from '../kube/runtime/internal-port.ts';
import { Lease } from '../kube/types/builtins.ts';
import { toError } from '../kube/types/errors.ts';
import { WAKES_PATH, type WakeAsk } from '../resources/operator-internal.ts';

/** How the operator is asked. */
export interface WakeAskerOptions {
  readonly client: Pick<KubeClient, 'get'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  /** Of the operator's Lease, which says where its leader is: the gateway's own namespace. */
  readonly lease: { readonly namespace: string; readonly name: string };
  /** The tenants that are to be woken now. */
  readonly wanted: () => readonly WakeAsk[];
  /** Sends it to the leader. Rejects if that does not take it. */
  readonly post: (address: string, asks: readonly WakeAsk[], signal: AbortSignal) => Promise<void>;
}

/** The operator forgets a client that has not asked for five seconds. */
const PERIOD_MS = 1_000;

/** Nothing is sent while nobody waits. */
export class WakeAsker {
  readonly #options: WakeAskerOptions;
  #wake: () => void = () => undefined;
  #isAsked = false;
  /** Where the leader was. */
  #address: string | undefined;
  /** What went wrong the last time, so that it is logged once. */
  #problem: string | undefined;

  constructor(options: WakeAskerOptions) {
    this.#options = options;
  }

  /** Whether the operator has taken what it was asked the last time. */
  get isHeard(): boolean {
    return this.#problem === undefined;
  }

  /** Somebody waits. */
  ask(): void {
    this.#isAsked = true;
    this.#wake();
  }

  /** Asks until `stop` aborts. */
  async run(stop: AbortSignal): Promise<void> {
    using _stopped = onAbort(stop, () => this.#wake());
    while (!stop.aborted) {
      const asks = this.#options.wanted();
      this.#isAsked = false;
      if (asks.length > 0) await this.#send(asks, stop);
      // Whoever comes meanwhile does not wait for the next round.
      await this.#pause(asks.length > 0, stop);
    }
  }

  async #pause(isWaiting: boolean, stop: AbortSignal): Promise<void> {
    if (stop.aborted || this.#isAsked) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    if (!isWaiting) return promise;
    const over = new AbortController();
    await Promise.race([promise, this.#options.clock.sleep(PERIOD_MS, over.signal).catch(() => undefined)]);
    over.abort();
  }

  async #send(asks: readonly WakeAsk[], stop: AbortSignal): Promise<void> {
    const { log, post } = this.#options;
    try {
      this.#address ??= await this.#readAddress(stop);
      await post(this.#address, asks, stop);
      if (this.#problem !== undefined) log.info({}, 'the operator can be asked to wake tenants again');
      this.#problem = undefined;
    } catch (error) {
      if (stop.aborted) return;
      // Another one may lead now.
      this.#address = undefined;
      const problem = toError(error).message;
      if (problem !== this.#problem) log.warn({ error: problem }, 'the operator cannot be asked to wake tenants');
      this.#problem = problem;
    }
  }

  async #readAddress(signal: AbortSignal): Promise<string> {
    const { client, lease } = this.#options;
    const found = await client.get(Lease, lease, { signal });
    const address = found.metadata.annotations?.[Annotation.wakeAddress];
    if (address !== undefined) return address;
    throw new Error(
      `Lease ${lease.namespace}/${lease.name} has no annotation ${Annotation.wakeAddress}: start the operator with --wake-bind-address`,
    );
  }
}

/** Posts to the operator at this address. */
export function postWakes(credentials: Credentials): WakeAskerOptions['post'] {
  return async (address, tenants, signal) => {
    await askInternalPort(address, credentials, signal, { path: WAKES_PATH, body: { tenants } });
  };
}
