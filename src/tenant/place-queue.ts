/** Servers that wait for a place in a budget, and those that were just given one which the caches do not show yet. */
import type { Clock } from '../kube/clock/clock.ts';

/** A server that has not asked again for this time is passed over: its tenant may fail to be reconciled. */
const ASKED_MS = 180_000;
/** A server whose write was refused is passed over for this time: otherwise it would hold up all others. */
const POSTPONED_MS = 60_000;
/** How long a write is counted that the caches do not show. */
const TRUST_MS = 30_000;

interface Grant {
  readonly at: number;
  /** Generation of the Deployment after the write; undefined: it is being written. */
  readonly generation?: number | undefined;
}

/** It saves nothing that the cluster knows: after a restart of the process the queue fills again, and the cluster shows who has a place. */
export class PlaceQueue {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #asked = new Map<string, number>();
  readonly #grants = new Map<string, Grant>();
  readonly #postponed = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  ask(server: string): void {
    this.#asked.set(server, this.#clock.monotonic());
  }

  /** The server no longer waits. */
  leave(server: string): void {
    this.#asked.delete(server);
  }

  grant(server: string): void {
    this.#grants.set(server, { at: this.#clock.monotonic() });
  }

  /** The write that a place was given for has happened. */
  written(server: string, generation: number | undefined): void {
    this.#asked.delete(server);
    this.#grants.set(server, { at: this.#clock.monotonic(), generation });
  }

  /** The write that a place was given for was not done. */
  refused(server: string): void {
    this.#grants.delete(server);
    this.#postponed.set(server, this.#clock.monotonic() + POSTPONED_MS);
  }

  /** The servers that wait, in the order in which they asked. */
  waiting(): string[] {
    const now = this.#clock.monotonic();
    for (const [server, until] of this.#postponed) if (until <= now) this.#postponed.delete(server);
    return [...this.#asked]
      .filter(([server, at]) => now - at <= ASKED_MS && !this.#postponed.has(server))
      .map(([server]) => server);
  }

  /** The servers with a place that the cache does not show; `generationOf` has the generation of a Deployment in the cache. */
  granted(generationOf: (server: string) => number | undefined): string[] {
    const now = this.#clock.monotonic();
    for (const [server, { at, generation }] of this.#grants) {
      const isShown = generation !== undefined && (generationOf(server) ?? 0) >= generation;
      if (isShown || now - at > TRUST_MS) this.#grants.delete(server);
    }
    return [...this.#grants.keys()];
  }
}
