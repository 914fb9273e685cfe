/** How many clients each tenant has at the gateway: its replicas are asked for all tenants at once. */
import type { Clock } from '../kube/clock/clock.ts';
import { toError } from '../kube/types/errors.ts';
import { fromKey, keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { HeldTurn, ServerPlaces, TenantsAnswer } from '../resources/gateway-internal.ts';
import { type GatewayService, listReplicas } from './gateway-replicas.ts';

/** The clients of tenants. */
export interface ClientCounts {
  /** Undefined: the gateway has not answered since this process started. */
  get(tenant: NamespacedName): number | undefined;
  /**
   * For how long nobody has used a tenant, in ms, as of the last answer. Undefined: not all replicas have said it lately.
   */
  idleMs(tenant: NamespacedName): number | undefined;
  /** Calls `fn` for each tenant whose number has changed. */
  onChange(fn: (tenant: NamespacedName) => void): void;
}

/** What the replicas are asked with. */
export interface GatewayClientsOptions extends GatewayService {
  readonly clock: Pick<Clock, 'sleep' | 'monotonic'>;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  /** Asks one replica. Rejects if it does not answer. */
  readonly ask: (address: string, signal: AbortSignal) => Promise<TenantsAnswer>;
}

/** With the wait of a status for its last write (20 s) it is right within a minute, and written at most twice a minute for it. */
const PERIOD_MS = 30_000;

/** After this time nothing is known any more of how long tenants were not used, in ms: this process was paused, and they may have been used since. */
const USE_KNOWN_MS = 2 * PERIOD_MS;

/** A replica that was asked. */
interface Asked {
  readonly address: string;
  /** What it says now; undefined: nothing, as one that is not ready may. */
  readonly answer?: TenantsAnswer | undefined;
  /** Why it does not answer although it should. */
  readonly problem?: string | undefined;
}

/** A replica that ends has no clients any more, but it may have been used just before: the turns that they began still run. */
const GONE: TenantsAnswer = { tenants: [], upMs: 0 };

/** Asks periodically, and remembers what each replica has said last. */
export class GatewayClients implements ClientCounts {
  readonly #options: GatewayClientsOptions;
  readonly #listeners: ((tenant: NamespacedName) => void)[] = [];
  readonly #turnListeners: ((held: readonly HeldTurn[]) => void)[] = [];
  readonly #placeListeners: ((places: readonly ServerPlaces[]) => void)[] = [];
  #counts: ReadonlyMap<string, number> | undefined;
  /** What each replica that is there has said last, by its address. */
  #last: ReadonlyMap<string, TenantsAnswer> = new Map();
  #silent = 0;
  /** Of the last round, if all replicas have answered in it. */
  #used: readonly ReplicaUse[] | undefined;
  /** When that was, monotonic ms. */
  #usedAt = 0;
  /** Why the last round was incomplete, so that it is logged once; empty: it was not. */
  #problem: string | undefined;

  constructor(options: GatewayClientsOptions) {
    this.#options = options;
  }

  /** Replicas that did not answer the last time, although they are ready. */
  get silentReplicas(): number {
    return this.#silent;
  }

  get(tenant: NamespacedName): number | undefined {
    return this.#counts && (this.#counts.get(keyOf(tenant)) ?? 0);
  }

  idleMs(tenant: NamespacedName): number | undefined {
    const key = keyOf(tenant);
    if (this.#used === undefined || this.#used.length === 0) return undefined;
    if (this.#options.clock.monotonic() - this.#usedAt > USE_KNOWN_MS) return undefined;
    return Math.min(...this.#used.map(({ idleMs, upMs }) => idleMs.get(key) ?? upMs));
  }

  onChange(fn: (tenant: NamespacedName) => void): void {
    this.#listeners.push(fn);
  }

  /** Calls `fn` with all turns that users hold, after each round. */
  onHeldTurns(fn: (held: readonly HeldTurn[]) => void): void {
    this.#turnListeners.push(fn);
  }

  /** Calls `fn` with where sessions are, of tenants whose servers share a volume, after each round. */
  onPlaces(fn: (places: readonly ServerPlaces[]) => void): void {
    this.#placeListeners.push(fn);
  }

  /** Asks until `stop` aborts. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.poll(stop);
      await this.#options.clock.sleep(PERIOD_MS, stop);
    }
  }

  /** Asks all replicas once. Of one that does not answer that counts which it has said last: the numbers of the others do not wait for it. */
  async poll(signal: AbortSignal): Promise<void> {
    try {
      const asked = await this.#askAll(signal);
      if (signal.aborted) return;
      const known = asked.map(({ address, answer, problem }) => {
        return [address, answer ?? (problem === undefined ? GONE : (this.#last.get(address) ?? GONE))] as const;
      });
      this.#last = new Map(known);
      const problems = asked.flatMap(({ problem }) => problem ?? []);
      this.#silent = problems.length;
      // Who does not answer may be in use.
      this.#used = problems.length > 0 ? undefined : known.map(([, answer]) => replicaUse(answer));
      this.#usedAt = this.#options.clock.monotonic();
      this.#found(sum(known.map(([, answer]) => answer)));
      const held = known.flatMap(([, { heldTurns = [] }]) => heldTurns);
      for (const listener of this.#turnListeners) listener(held);
      const places = known.flatMap(([, answer]) => answer.places ?? []);
      for (const listener of this.#placeListeners) listener(places);
      this.#tell(
        problems.join('; '),
        'of replicas of the gateway that do not answer the clients are counted that they had',
      );
    } catch (error) {
      if (signal.aborted) return;
      this.#used = undefined;
      this.#tell(toError(error).message, 'clients of the gateway are not counted');
    }
  }

  async #askAll(signal: AbortSignal): Promise<Asked[]> {
    const { ask } = this.#options;
    const replicas = await listReplicas(this.#options, signal);
    const asked = replicas.map(async ({ address, isReady }): Promise<Asked> => {
      try {
        return { address, answer: await ask(address, signal) };
      } catch (error) {
        return { address, problem: isReady ? `replica ${address}: ${toError(error).message}` : undefined };
      }
    });
    return Promise.all(asked);
  }

  /** Once, until it is another problem or none. */
  #tell(problem: string, message: string): void {
    const before = this.#problem ?? '';
    this.#problem = problem;
    if (problem === before) return;
    if (problem === '') this.#log('info', {}, 'clients of the gateway are counted again');
    else this.#log('warn', { error: problem }, message);
  }

  #found(counts: ReadonlyMap<string, number>): void {
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

/** For how long tenants were not used at one replica, in ms. */
interface ReplicaUse {
  /** Of those that it names, by their key. */
  readonly idleMs: ReadonlyMap<string, number>;
  /** Of all others. */
  readonly upMs: number;
}

/** A replica that does not say it, such as one of an earlier version, has just used it. */
function replicaUse({ tenants, upMs = 0 }: TenantsAnswer): ReplicaUse {
  return { idleMs: new Map(tenants.map((tenant) => [keyOf(tenant), tenant.idleMs ?? 0])), upMs };
}

/** The numbers of all replicas together. */
function sum(answers: readonly TenantsAnswer[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const tenant of answers.flatMap(({ tenants }) => tenants))
    counts.set(keyOf(tenant), (counts.get(keyOf(tenant)) ?? 0) + tenant.clients);
  return counts;
}
