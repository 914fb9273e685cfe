/** Replaces what differs in each run of kubectl, so that a transcript changes only when the operator's output does. */

/** The fixed value for each kind of value. */
const TIME = '2026-01-02T03:04:05Z';
const UID = '00000000-0000-4000-8000-000000000000';
const ADDRESS = '10.0.0.1';
const AGE = '5m';
const BYTES = '16384';
const INPUT_TOKENS = '2000';
const OUTPUT_TOKENS = '20';

/** The name of every namespace in a transcript. */
const NAMESPACE = 'team';
/** Columns whose cells are replaced, by their titles. */
const VOLATILE: Readonly<Record<string, string>> = {
  AGE,
  'LAST-ACTIVITY': AGE,
  BYTES,
  'INPUT-TOKENS': INPUT_TOKENS,
  'OUTPUT-TOKENS': OUTPUT_TOKENS,
};

/** Fields of `kubectl describe` whose values are replaced. */
const FIELDS: Readonly<Record<string, string>> = {
  'Resource Version': '1',
  'Size Bytes': BYTES,
  'Input Tokens': INPUT_TOKENS,
  'Output Tokens': OUTPUT_TOKENS,
};

export function normalise(printed: string, namespace: string): string {
  const text = printed
    // In a cell of a table the width stays the same, or the columns after it would be cut in the wrong places.
    .replaceAll(
      new RegExp(`${namespace}(\\S*)(?= {2,}\\S)`, 'g'),
      (_, rest: string) => `${NAMESPACE}${rest}${' '.repeat(namespace.length - NAMESPACE.length)}`,
    )
    .replaceAll(namespace, NAMESPACE)
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, TIME)
    .replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, UID)
    .replaceAll(/\b10\.\d+\.\d+\.\d+\b/g, ADDRESS)
    .replaceAll(/^( *)([A-Z][\w ]*?):( +)(\S+)$/gm, (line, indent: string, field: string, gap: string) => {
      const value = FIELDS[field.trim()];
      return value === undefined ? line : `${indent}${field}:${gap}${value}`;
    });
  return blocks(text).map(withoutEventAges).map(withoutVolatileCells).join('\n\n').trimEnd();
}

const blocks = (text: string) => text.split(/\n\n+/);

// `Normal  ServersReady  12s (x2 over 20s)  copilot-operator  ...`, at the end of `kubectl describe`.
function withoutEventAges(block: string): string {
  const [above, events] = block.split(/^Events:\n/m);
  if (above === undefined || events === undefined) return block;
  const rows = events
    .split('\n')
    .filter((row) => row.trim() !== '' && !/^ *(Type +Reason|-+ )/.test(row))
    .map((row) => row.trim().split(/ {2,}/))
    .map(([type = '', reason = '', _age, from = '', ...message]) => [type, reason, AGE, from, message.join('  ')]);
  const table = [['Type', 'Reason', 'Age', 'From', 'Message'], ...rows];
  return `${above}Events:\n${aligned(table)
    .map((row) => `  ${row}`)
    .join('\n')}`;
}

function withoutVolatileCells(block: string): string {
  const lines = block.split('\n');
  const [header = ''] = lines;
  if (!/^NAME +/.test(header)) return block;
  const titles = [...header.matchAll(/\S+ */g)];
  const rows = lines.map((line, index) =>
    titles.map(({ 0: { length }, index: from }, column) => {
      const isLast = column === titles.length - 1;
      const cell = line.slice(from, isLast ? undefined : from + length).trim();
      const value = VOLATILE[titles[column]?.[0].trim() ?? ''];
      return index === 0 || value === undefined || cell === '' || cell === '<none>' ? cell : value;
    }),
  );
  return aligned(rows).join('\n');
}

/** Columns three spaces apart, as in kubectl. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_title, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3))
      .join('')
      .trimEnd(),
  );
}
