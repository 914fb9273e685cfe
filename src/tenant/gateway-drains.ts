/** How far servers that drain are: while there are any, the replicas of the gateway are asked every second, for all at once. */
import type { Clock } from '../kube/clock/clock.ts';
import { onAbort } from '../kube/clock/abort.ts';
import { toError } from '../kube/types/errors.ts';
import { fromKey, keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { DrainAnswer, DrainLine } from '../resources/gateway-internal.ts';
import type { DrainReport } from './decisions/drain.ts';
import type { DrainReports } from './drain-plan.ts';
import { type GatewayService, listReplicas, type Replica } from './gateway-replicas.ts';

/** What the replicas are asked with. */
export interface GatewayDrainsOptions extends GatewayService {
  readonly clock: Pick<Clock, 'sleep' | 'monotonic'>;
  readonly log: { warn(fields: object, message: string): void };
  /** Asks one replica. Rejects if it does not answer. */
  readonly ask: (address: string, signal: AbortSignal) => Promise<DrainAnswer>;
}

/** The drains of tenants, as the tenant controller uses them. */
export interface DrainWatch extends DrainReports {
  /** From now on the replicas are asked for these drains of a tenant, by the key of the server, and for no other of it. */
  watch(tenant: NamespacedName, epochs: ReadonlyMap<string, number>): void;
  /** Calls `fn` for each tenant of whose drains the replicas say something new. */
  onChange(fn: (tenant: NamespacedName) => void): void;
}

const PERIOD_MS = 1_000;

interface Watched {
  readonly epoch: number;
  /** Since when, monotonic ms. */
  readonly since: number;
  report?: DrainReport | undefined;
}

/** What is known of a drain is forgotten when it is not watched any more. */
export class GatewayDrains implements DrainWatch {
  readonly #options: GatewayDrainsOptions;
  readonly #listeners: ((tenant: NamespacedName) => void)[] = [];
  /** By the key of the tenant, and that of the server. */
  readonly #tenants = new Map<string, Map<string, Watched>>();
  #wake: () => void = () => undefined;
  /** What went wrong in the last round, so that it is logged once. */
  #problems = '';

  constructor(options: GatewayDrainsOptions) {
    this.#options = options;
  }

  get(server: string, epoch: number): DrainReport | undefined {
    return this.#find(server, epoch)?.report;
  }

  openMs(server: string, epoch: number): number | undefined {
    const found = this.#find(server, epoch);
    return found && this.#options.clock.monotonic() - found.since;
  }

  watch(tenant: NamespacedName, epochs: ReadonlyMap<string, number>): void {
    const key = keyOf(tenant);
    const before = this.#tenants.get(key);
    if (epochs.size === 0) return void this.#tenants.delete(key);
    const next = Array.from(epochs, ([server, epoch]): [string, Watched] => {
      const known = before?.get(server);
      return [server, known?.epoch === epoch ? known : { epoch, since: this.#options.clock.monotonic() }];
    });
    this.#tenants.set(key, new Map(next));
    this.#wake();
  }

  onChange(fn: (tenant: NamespacedName) => void): void {
    this.#listeners.push(fn);
  }

  /** Asks until `stop` aborts, while there is something to ask for. */
  async run(stop: AbortSignal): Promise<void> {
    using _stopped = onAbort(stop, () => this.#wake());
    while (!stop.aborted) {
      if (this.#tenants.size === 0) await new Promise<void>((resolve) => void (this.#wake = resolve));
      if (stop.aborted) return;
      await this.poll(stop);
      await this.#options.clock.sleep(PERIOD_MS, stop);
    }
  }

  /** Asks all replicas once. One that does not answer may still be connected to every server. */
  async poll(signal: AbortSignal): Promise<void> {
    const problems: string[] = [];
    try {
      const replicas = await listReplicas(this.#options, signal);
      const answers = await Promise.all(
        replicas.map(async (replica) => {
          try {
            return await this.#linesOf(replica, signal);
          } catch (error) {
            problems.push(`replica ${replica.address}: ${toError(error).message}`);
            return [[]];
          }
        }),
      );
      if (!signal.aborted) this.#found(answers.flat());
    } catch (error) {
      problems.push(toError(error).message);
    }
    if (!signal.aborted) this.#logNew(problems.toSorted().join('; '));
  }

  /** None of a replica that can't be connected to any server as a drain knows it. */
  async #linesOf({ address, isReady }: Replica, signal: AbortSignal): Promise<(readonly DrainLine[])[]> {
    const answer = await this.#options.ask(address, signal);
    if (answer === 'NoDrains') return [];
    if (answer !== 'Refused') return [answer];
    // Of one that is ready a NetworkPolicy refuses the connection; of any other the process has ended, and with it its connections.
    if (isReady) throw new Error('it refuses the connection');
    return [];
  }

  #find(server: string, epoch: number): Watched | undefined {
    for (const servers of this.#tenants.values()) {
      const watched = servers.get(server);
      if (watched !== undefined) return watched.epoch === epoch ? watched : undefined;
    }
    return undefined;
  }

  #found(answers: readonly (readonly DrainLine[])[]): void {
    for (const [tenant, servers] of this.#tenants) {
      let isNew = false;
      for (const [server, watched] of servers) {
        const report = reportOf(server, watched.epoch, answers);
        const { turns, waiting } = watched.report ?? {};
        isNew ||= turns !== report.turns || waiting !== report.waiting;
        watched.report = report;
      }
      if (isNew) for (const listener of this.#listeners) listener(fromKey(tenant));
    }
  }

  #logNew(problems: string): void {
    if (problems !== '' && problems !== this.#problems) {
      this.#options.log.warn(
        { service: this.#options.service, error: problems },
        'not all replicas of the gateway say how far servers have drained; each drain ends by its deadline',
      );
    }
    this.#problems = problems;
  }
}

/** What the replicas say together of one drain. */
export function reportOf(server: string, epoch: number, answers: readonly (readonly DrainLine[])[]): DrainReport {
  const lines = answers.map((each) => each.find((line) => line.server === server && line.epoch === epoch));
  const turns = lines.reduce((sum, line) => sum + (line?.turns ?? 0), 0);
  return { turns, waiting: lines.filter((line) => line?.drained !== true).length };
}
