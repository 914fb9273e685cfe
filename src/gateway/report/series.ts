/** How the metrics of the gateway are registered: with their prefix, and with every series from the start. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const GATEWAY_PREFIX = 'copilot_gateway_';

/** Reads it once for all metrics of a scrape that are read from it: a registry begins to collect them all in the same turn of the event loop. */
export function oncePerScrape<T>(read: () => T): () => T {
  let found: { readonly value: T } | undefined;
  return () => {
    if (found === undefined) queueMicrotask(() => void (found = undefined));
    found ??= { value: read() };
    return found.value;
  };
}

/** Makes the metrics of one registry. Helps list the values of labels. */
export class Series {
  readonly #registry: Registry;
  readonly #prefix: string;

  /** `prefix`: with what their names begin. */
  constructor(registry: Registry, prefix = GATEWAY_PREFIX) {
    this.#registry = registry;
    this.#prefix = prefix;
  }

  /** A counter whose series all exist from the start, so that a rate over them includes the first increment. */
  counter<L extends string>(name: string, help: string, labels?: Readonly<Record<L, readonly string[]>>): Counter<L> {
    const entries = Object.entries(labels ?? {}) as [L, readonly string[]][];
    const lists = entries.map(([label, all]) => (entries.length > 1 ? `${label} ` : '') + all.join(', '));
    const values = lists.join('; ');
    const counter = new Counter<L>({
      name: `${this.#prefix}${name}`,
      help: values === '' ? help : `${help}: ${values}`,
      labelNames: entries.map(([label]) => label),
      registers: [this.#registry],
    });
    const series = entries.reduce<Partial<Record<L, string>>[]>(
      (before, [label, all]) => before.flatMap((labels) => all.map((value) => ({ ...labels, [label]: value }))),
      [{}],
    );
    if (entries.length > 0) for (const labels of series) counter.inc(labels, 0);
    return counter;
  }

  /** `name` ends in its unit, and so are `buckets`. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return new Histogram({ name: `${this.#prefix}${name}`, help, buckets: [...buckets], registers: [this.#registry] });
  }

  /** A counter whose value is read at each scrape: for what is counted thousands of times between two of them. */
  tally(name: string, help: string, read: () => number): void {
    let counted = 0;
    const counter = new Counter({
      name: `${this.#prefix}${name}`,
      help,
      registers: [],
      collect() {
        const now = read();
        this.inc(now - counted);
        counted = now;
      },
    });
    this.#registry.registerMetric(counter);
  }

  /** A gauge whose value is read at each scrape. */
  gauge(name: string, help: string, read: () => number): void {
    const gauge = new Gauge({
      name: `${this.#prefix}${name}`,
      help,
      registers: [],
      collect() {
        this.set(read());
      },
    });
    this.#registry.registerMetric(gauge);
  }

  /** A gauge with a series for each of what `read` returns at a scrape, and no other: what is gone has none. */
  each<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    read: () => Iterable<{ readonly labels: Readonly<Record<L, string>>; readonly value: number }>,
  ): void {
    const gauge = new Gauge<L>({
      name: `${this.#prefix}${name}`,
      help,
      labelNames: [...labels],
      registers: [],
      collect() {
        this.reset();
        for (const found of read()) this.set(found.labels, found.value);
      },
    });
    this.#registry.registerMetric(gauge);
  }

  /** A gauge with a series for each of `all`; at each scrape those that `isSet` names are 1, and the others 0. */
  flags(name: string, help: string, label: string, all: readonly string[], isSet: () => readonly string[]): void {
    const gauge = new Gauge({
      name: `${this.#prefix}${name}`,
      help: `${help}: ${all.join(', ')}`,
      labelNames: [label],
      registers: [],
      collect() {
        const set = isSet();
        for (const value of all) this.set({ [label]: value }, Number(set.includes(value)));
      },
    });
    this.#registry.registerMetric(gauge);
  }

  /** A gauge by state; at each scrape `count` says how many there are in each. */
  states<S extends string>(name: string, help: string, all: readonly S[], count: () => ReadonlyMap<S, number>): void {
    const gauge = new Gauge({
      name: `${this.#prefix}${name}`,
      help: `${help}: ${all.join(', ')}`,
      labelNames: ['state'],
      registers: [],
      collect() {
        const counts = count();
        for (const state of all) this.set({ state }, counts.get(state) ?? 0);
      },
    });
    this.#registry.registerMetric(gauge);
  }
}
