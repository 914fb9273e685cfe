import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const chart = (file: string) =>
  readFileSync(join(import.meta.dirname, '../../../charts/copilot-operator', file), 'utf8');

/** Names of all values; what may hold anything, such as `resources`, is one value. */
function names(values: Record<string, unknown>, prefix = ''): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const isGroup = value !== null && typeof value === 'object' && !Array.isArray(value) && name !== 'resources';
    return isGroup && Object.keys(value).length > 0
      ? names(value as Record<string, unknown>, `${prefix}${name}.`)
      : [`${prefix}${name}`];
  });
}

/** Cells of the table of values in the chart's README: names, default. */
const ROWS = [...chart('README.md').matchAll(/^\| (`.*?) +\| (.*?) *\|/gm)].map(([, left = '', right = '']) => ({
  names: [...left.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  shown: right,
}));

describe("the values in the chart's README", () => {
  it('are those of values.yaml, each once', () => {
    const listed = ROWS.flatMap((row) => row.names).toSorted();
    expect(listed).toEqual(names(parse(chart('values.yaml')) as Record<string, unknown>).toSorted());
  });

  it('have their defaults', () => {
    const values = parse(chart('values.yaml')) as Record<string, unknown>;
    const defaultOf = (name: string) =>
      name.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], values);
    for (const { names: listed, shown } of ROWS) {
      const [, literal] = /^`(.*?)`/.exec(shown) ?? [];
      if (literal !== undefined)
        expect(listed.map((name) => [name, defaultOf(name)])).toEqual(listed.map((name) => [name, parse(literal)]));
    }
  });
});
