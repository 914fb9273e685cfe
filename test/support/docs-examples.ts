/** What pages show to be copied. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { PROJECT } from './tenant-api.ts';

/** The blocks of YAML under a heading of a page in docs, in their order. */
export function yamlUnder(page: string, heading: string): unknown[] {
  const text = readFileSync(join(PROJECT, 'docs', page), 'utf8');
  const begin = text.indexOf(`\n${heading}\n`);
  if (begin === -1) throw new Error(`docs/${page} has no "${heading}"`);
  const [section = ''] = text.slice(begin + heading.length + 2).split(/^#+ /m);
  return [...section.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, block = '']) => parse(block) as unknown);
}
