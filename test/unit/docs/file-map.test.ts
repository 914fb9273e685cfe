import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openingSentence, withFileMap } from '../../../scripts/file-map.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PAGE = readFileSync(join(ROOT, 'docs/development.md'), 'utf8');

describe('the file map of docs/development.md', () => {
  it('has every file of src once, and no other', () => {
    const listed = [...PAGE.matchAll(/^\| \[[^\]]+\]\(\.\.\/src\/([^)]+)\) \| \S/gm)].map(([, path = '']) => path);
    const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
    expect(listed.toSorted()).toEqual(files.filter((file) => file.endsWith('.ts')).toSorted());
  });

  it('replaces only what is between its markers', () => {
    const other = withFileMap(PAGE, 'another');
    expect(other).toContain('\nanother\n');
    expect(other.split('\n## ')).toHaveLength(PAGE.split('\n## ').length);
    expect(() => withFileMap('no markers', '')).toThrow('expected exactly one map');
  });
});

describe('the sentence of a file', () => {
  it.each([
    ['/** One line. */\ncode', 'One line.'],
    ['#!/usr/bin/env node\n/** After the interpreter. */', 'After the interpreter.'],
    ['/**\n * Over two\n * lines, as in `a.b`. And more.\n */', 'Over two lines, as in `a.b`.'],
    ['/** Its facts. docs/x.md has them. */', 'Its facts.'],
    ['/** Without a period */', 'Without a period'],
  ])('is the first of its opening comment: %j', (source, sentence) => {
    expect(openingSentence('src/x.ts', source)).toBe(sentence);
  });

  it.each(['import x;\n/** Later. */', '// Not a doc comment.', ''])('is missing in %j', (source) => {
    expect(() => openingSentence('src/x.ts', source)).toThrow('src/x.ts has no opening comment');
  });
});
