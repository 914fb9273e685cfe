/** How many clients each tenant has at the gateway: its replicas are asked for all tenants at once. */
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { EndpointSlice } from '../kube/types/builtins.ts';
import { toError } from '../kube/types/errors.ts';
import { fromKey, keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { TenantCount } from '../resources/gateway-internal.ts';

/** The clients of tenants. */
export interface ClientCounts {
  /** Undefined: the gateway has not answered since this process started. */
  get(tenant: NamespacedName): number | undefined;
  /** Calls `fn` for each tenant whose number has changed. */
  onChange(fn: (tenant: NamespacedName) => void): void;
}

/** A pod of the gateway. */
export interface Replica {
  readonly address: string;
  /** One that starts or stops need not answer. */
  readonly isReady: boolean;
}

/** What the replicas are asked with. */
export interface GatewayClientsOptions {
  readonly client: Pick<KubeClient, 'listAll'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  /** The operator's own namespace, where the gateway is. */
  readonly namespace: string;
  /** The Service of the gateway: its EndpointSlices list the replicas. */
  readonly service: string;
  /** Asks one replica. Rejects if it does not answer. */
  readonly ask: (address: string, signal: AbortSignal) => Promise<readonly TenantCount[]>;
}

/** With the wait of a status for its last write (20 s) it is right within a minute, and written at most twice a minute for it. */
const PERIOD_MS = 30_000;

/** Asks periodically, and remembers the last complete answer. */
export class GatewayClients implements ClientCounts {
  readonly #options: GatewayClientsOptions;
  readonly #listeners: ((tenant: NamespacedName) => void)[] = [];
  #counts: ReadonlyMap<string, number> | undefined;
  /** Why the last round was incomplete, so that it is logged once. */
  #problem: string | undefined;

  constructor(options: GatewayClientsOptions) {
    this.#options = options;
  }

  get(tenant: NamespacedName): number | undefined {
    return this.#counts && (this.#counts.get(keyOf(tenant)) ?? 0);
  }

  onChange(fn: (tenant: NamespacedName) => void): void {
    this.#listeners.push(fn);
  }

  /** Asks until `stop` aborts. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.poll(stop);
      await this.#options.clock.sleep(PERIOD_MS, stop);
    }
  }

  /** Asks all replicas once. What the last complete round has found stays if one of them does not answer. */
  async poll(signal: AbortSignal): Promise<void> {
    try {
      this.#found(await this.#askAll(signal));
    } catch (error) {
      if (signal.aborted) return;
      const problem = toError(error).message;
      if (problem !== this.#problem) this.#log('warn', { error: problem }, 'clients of the gateway are not counted');
      this.#problem = problem;
    }
  }

  async #askAll(signal: AbortSignal): Promise<Map<string, number>> {
    const { client, namespace, service, ask } = this.#options;
    const labelSelector = `kubernetes.io/service-name=${service}`;
    const { items } = await client.listAll(EndpointSlice, { namespace, labelSelector, signal });
    const answers = replicasOf(items).map(async ({ address, isReady }) => {
      try {
        return await ask(address, signal);
      } catch (error) {
        if (isReady) throw new Error(`replica ${address}: ${toError(error).message}`, { cause: error });
        return [];
      }
    });
    return sum(await Promise.all(answers));
  }

  #found(counts: ReadonlyMap<string, number>): void {
    if (this.#problem !== undefined) this.#log('info', {}, 'clients of the gateway are counted again');
    this.#problem = undefined;
    const before = this.#counts ?? new Map<string, number>();
    this.#counts = counts;
    for (const key of new Set([...before.keys(), ...counts.keys()])) {
      if (before.get(key) === counts.get(key)) continue;
      for (const listener of this.#listeners) listener(fromKey(key));
    }
  }

  #log(level: 'warn' | 'info', fields: object, message: string): void {
    this.#options.log[level]({ service: this.#options.service, ...fields }, message);
  }
}

/** The replicas of a Service, each once: during a change an address may be in two slices. */
export function replicasOf(slices: readonly EndpointSlice[]): Replica[] {
  const found = new Map<string, boolean>();
  for (const { addresses, conditions } of slices.flatMap(({ endpoints = [] }) => endpoints)) {
    const [address] = addresses;
    // Absent means ready, by the definition of the field.
    if (address !== undefined) found.set(address, (found.get(address) ?? false) || conditions?.ready !== false);
  }
  return Array.from(found, ([address, isReady]) => ({ address, isReady }));
}

/** The numbers of all replicas together. */
function sum(answers: readonly (readonly TenantCount[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const tenant of answers.flat()) counts.set(keyOf(tenant), (counts.get(keyOf(tenant)) ?? 0) + tenant.clients);
  return counts;
}
