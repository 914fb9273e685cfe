// Benchmarks run in plain Node: what they load, of the tests' support too, may not need the test framework.
import { expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');
const FRAMEWORK = '@jest/globals';

/** What the files load at run time, one through another. */
function loadedBy(files: readonly string[]): Map<string, string[]> {
  const loaded = new Map<string, string[]>();
  const load = (file: string): void => {
    if (loaded.has(file)) return;
    const source = readFileSync(file, 'utf8');
    const found = [...source.matchAll(/(?:^import (?!type)[^;]*?from |^import |import\()'([^']+)'/gm)];
    const imports = found.map(([, target = '']) => target);
    loaded.set(file, imports);
    for (const each of imports) if (each.startsWith('.') && each.endsWith('.ts')) load(resolve(dirname(file), each));
  };
  for (const file of files) load(file);
  return loaded;
}

it('no benchmark loads the test framework', () => {
  const benches = readdirSync(join(root, 'bench'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const loaded = loadedBy(benches.map((name) => join(root, 'bench', name)));
  expect([...loaded.keys()].map((file) => relative(root, file))).toContain('test/support/scrape.ts');
  const found = [...loaded].filter(([, imports]) => imports.includes(FRAMEWORK)).map(([file]) => relative(root, file));
  expect(found).toEqual([]);
});
