export interface BenchOptions {
  /** How many tenants the scale benchmarks use. */
  tenants: number;
  /** The bundle of an earlier commit, which the gateway's CPU is compared with; undefined: it is not. */
  before?: string | undefined;
}

/** A measurement, with that of the floor or peer from the same run on the same machine. */
export interface Figure {
  metric: string;
  value: number;
  unit: string;
  /** The same work done by the peer or floor, in the same unit. */
  floor?: number;
  /** value / floor; absent for a figure without a floor (a memory bound, a count that must be 0). */
  ratio?: number;
  /** The limit as text: "<= 1.6x the floor". */
  aim?: string;
  /** Whether the aim was met. */
  met?: boolean;
}

export interface BenchResult {
  name: string;
  /** What was measured and compared, in one or two sentences. */
  about: string;
  figures: Figure[];
}

/** A figure that must be at most `limit` times its floor. */
export function against(metric: string, value: number, floor: number, unit: string, limit: number): Figure {
  const ratio = value / floor;
  return { metric, value, unit, floor, ratio, aim: `<= ${limit}x the floor`, met: ratio <= limit };
}

/** A figure of which more is better: it must be at least `limit` times that of the peer. */
export function atLeast(metric: string, value: number, peer: number, unit: string, limit: number): Figure {
  const ratio = value / peer;
  return { metric, value, unit, floor: peer, ratio, aim: `>= ${limit}x the floor`, met: ratio >= limit };
}

/** A figure with an absolute bound. */
export function bounded(metric: string, value: number, unit: string, limit: number): Figure {
  return { metric, value, unit, aim: `<= ${limit} ${unit}`, met: value <= limit };
}

function round(value: number | undefined): string {
  if (value === undefined) return '';
  if (Number.isInteger(value)) return String(value);
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function verdict(figure: Figure): string {
  if (figure.met === undefined) return '';
  return figure.met ? 'met' : '**missed**';
}

export function toMarkdown(result: BenchResult): string {
  const rows = result.figures.map((figure) => {
    const cells = [
      figure.metric,
      `${round(figure.value)} ${figure.unit}`,
      figure.floor === undefined ? '' : `${round(figure.floor)} ${figure.unit}`,
      figure.ratio === undefined ? '' : `${figure.ratio.toFixed(2)}x`,
      figure.aim ?? '',
      verdict(figure),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    `## ${result.name}`,
    '',
    result.about,
    '',
    '| figure | measured | floor | ratio | aim | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

const HEAD = `# Benchmark results

\`make bench\` writes this. Each ratio is of two figures of one run; absolute times depend on the machine.
`;

/** RESULTS.md with these results in place of the previous ones of the same benchmarks. `where`: the commit and the machine. */
export function merged(before: string, results: readonly BenchResult[], where: string): string {
  const previous = before.split(/^(?=## )/m).slice(1);
  const sections = new Map(previous.map((section) => [section.slice(3, section.indexOf('\n')), section.trimEnd()]));
  for (const result of results) sections.set(result.name, `${toMarkdown(result)}\n${where}`);
  return `${[HEAD.trimEnd(), ...sections.values()].join('\n\n')}\n`;
}
