/** What an operator serves at /metrics, read as a scraper reads it: the text, and nothing that the process knows besides. */
interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const SERIES = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export class Scrape {
  readonly #series: Series[];

  constructor(text: string) {
    this.#series = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const [, name = '', labels = '', value] = SERIES.exec(line) ?? [];
        if (name === '') throw new Error(`this is no series of a metric: ${line}`);
        const pairs = [...labels.matchAll(LABEL)].map(([, label = '', of = '']) => [label, of]);
        return { name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) };
      });
  }

  /** The one series with exactly these labels; it must be there. */
  value(name: string, labels: Record<string, string> = {}): number {
    const found = this.#series.find(
      (each) =>
        each.name === name &&
        Object.keys(each.labels).length === Object.keys(labels).length &&
        Object.entries(labels).every(([label, value]) => each.labels[label] === value),
    );
    if (found === undefined) throw new Error(`there is no series ${name} ${JSON.stringify(labels)}`);
    return found.value;
  }

  /** All values of one label of a metric, with what is counted for each: what the fixed set of a label comes to. */
  by(name: string, label: string): Record<string, number> {
    const found = this.#series.filter((each) => each.name === name);
    return Object.fromEntries(found.map(({ labels, value }) => [labels[label] ?? '', value]));
  }

  /** The labels with one of these names in them: there are none where no series is one object's. */
  naming(...names: string[]): string[] {
    const labels = this.#series.flatMap((each) => Object.values(each.labels));
    return labels.filter((label) => names.some((name) => label.includes(name)));
  }
}

/** Reads what a process of this machine serves. */
export async function scrape(port: number): Promise<Scrape> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (!response.ok) throw new Error(`/metrics answered ${response.status}: ${await response.text()}`);
  return new Scrape(await response.text());
}
