import { describe, expect, it } from '@jest/globals';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { GATEWAY_FLAGS } from '../../../src/commands/gateway/options.ts';
import { OPERATOR_FLAGS } from '../../../src/commands/operator/options.ts';

const ROOT = join(import.meta.dirname, '../../..');
const FLAGS = new Set(
  [...`${GATEWAY_FLAGS}\n${OPERATOR_FLAGS}`.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => flag),
);
const values = parse(readFileSync(join(ROOT, 'charts/copilot-operator/values.yaml'), 'utf8')) as object;
/** Of the pages for users, those that configure operator or gateway. */
const PAGES = globSync('docs/{gateway,connecting,exposing,threat-model}.md', { cwd: ROOT }).toSorted();

/** What stands in backticks, and nothing of blocks of code. */
function code(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, inner = '']) => inner);
}

function hasValue(path: string): boolean {
  let found: unknown = values;
  for (const key of path.split('.')) {
    if (found === null || typeof found !== 'object' || !(key in found)) return false;
    found = (found as Record<string, unknown>)[key];
  }
  return true;
}

describe('the pages about the gateway', () => {
  it.each(PAGES)('%s names flags that exist', (page) => {
    const named = code(page).flatMap((text) => /^(--[a-z-]+)/.exec(text)?.[1] ?? []);
    expect(named.filter((flag) => !FLAGS.has(flag))).toEqual([]);
  });

  it.each(PAGES)('%s names values that the chart has', (page) => {
    const named = code(page).filter((text) => /^(gateway|networkPolicy|rbac|metrics)\.[A-Za-z.]+$/.test(text));
    expect(named.filter((path) => !hasValue(path))).toEqual([]);
  });

  it('are checked', () => {
    expect(PAGES).toHaveLength(4);
    expect(code('docs/exposing.md')).toEqual(expect.arrayContaining(['--tls-port', 'gateway.tls.secretName']));
  });
});
