import { describe, expect, it } from '@jest/globals';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const ROOT = join(import.meta.dirname, '../../..');
const PAGES = globSync(['*.md', 'docs/**/*.md', 'charts/*/README.md'], { cwd: ROOT }).toSorted();
const text = (page: string) => readFileSync(join(ROOT, page), 'utf8');

/** Files that a worked example of docs/development.md adds. */
const EXAMPLES = ['src/tenant/builders/limitrange.ts', 'test/unit/tenant/builders/limitrange.test.ts'];

/** The anchor that GitHub gives a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const anchors = (page: string) => [...text(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchor(heading));

describe.each(PAGES)('%s', (page) => {
  it('links to pages and headings that exist', () => {
    const links = [...text(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
    for (const [, path = '', heading] of links) {
      const target = path === '' ? page : normalize(join(dirname(page), path));
      expect([target, existsSync(join(ROOT, target))]).toEqual([target, true]);
      if (heading !== undefined) expect(anchors(target)).toContain(heading);
    }
  });

  it('names files that exist', () => {
    const named = [...text(page).matchAll(/`((?:src|test|docs|scripts|charts|images|bench)\/[\w./-]+)`/g)];
    const missing = named.map(([, path = '']) => path).filter((path) => !existsSync(join(ROOT, path)));
    expect(missing.filter((path) => !EXAMPLES.includes(path))).toEqual([]);
  });
});
