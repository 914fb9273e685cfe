// The import rules of the architecture (docs/architecture.md): a part may use only what stands below it.
// They are a test and not a lint rule because the rule set is a table and reads as one.
import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');

/** What each part of `src` may import of the project, itself aside. `main` and the commands wire and may import everything. */
const allowed: Record<string, readonly string[]> = {
  api: [],
  kube: [],
  copilot: [],
  resources: ['api', 'kube'],
  tenant: ['api', 'kube', 'copilot', 'resources'],
  session: ['api', 'kube', 'copilot', 'resources'],
  health: ['api', 'kube', 'copilot'],
  cleanup: ['api', 'kube', 'copilot', 'resources'],
  survey: ['api', 'kube', 'copilot'],
  commands: ['api', 'kube', 'copilot', 'resources', 'tenant', 'session', 'health', 'cleanup', 'survey'],
};

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)\s*import\s+'([^']+)'/g;

function importsOf(source: string): string[] {
  return [...source.matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** The broken rules of one file, as sentences; a pure function so that the rule itself is tested below. */
function violations(file: string, source: string): string[] {
  const [part = '', inner] = relative(join(root, 'src'), file).split('/');
  if (inner === undefined) return [];
  return importsOf(source).flatMap((target) => {
    if (target.startsWith('@kubernetes/client-node')) {
      const typeOnly = !new RegExp(`import\\s+(?!type)[^;]*'${target}'`).test(source);
      return typeOnly || file.endsWith('src/kube/client/config.ts')
        ? []
        : [`${part}: only src/kube/client/config.ts loads ${target} at run time`];
    }
    if (!target.startsWith('.')) return [];
    const [imported = ''] = relative(join(root, 'src'), resolve(dirname(file), target)).split('/');
    if (imported === part || (allowed[part] ?? []).includes(imported)) return [];
    return [
      `${relative(root, file)} imports ${target}: '${part}' may import ${[part, ...(allowed[part] ?? [])].join(', ')}`,
    ];
  });
}

function sourceFiles(): string[] {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(root, 'src', name));
}

describe('the import rules', () => {
  it('are kept by every file of src', () => {
    expect(sourceFiles().flatMap((file) => violations(file, readFileSync(file, 'utf8')))).toEqual([]);
  });

  it('are those of docs/architecture.md', () => {
    const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `(\w+)\/` +\|.*\| ([^|]+?) +\|$/gm)];
    const named = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, part = '']) => part);
    expect(Object.fromEntries(rows.map(([, part = '', cell = '']) => [part, named(cell)]))).toEqual(allowed);
  });

  it('know every part of src', () => {
    const parts = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(parts.map((entry) => entry.name).toSorted()).toEqual(Object.keys(allowed).toSorted());
  });

  it.each([
    ['src/kube/client/client.ts', `import { x } from '../../api/tenant.ts';`],
    ['src/tenant/world.ts', `import type { P } from '../health/pinger.ts';`],
    ['src/api/tenant.ts', `export * from '../main.ts';`],
    ['src/tenant/status.ts', `const m = await import('../session/controller.ts');`],
    ['src/kube/client/client.ts', `import { KubeConfig } from '@kubernetes/client-node';`],
  ])('refuse %s: %s', (file, source) => {
    expect(violations(join(root, file), source)).toHaveLength(1);
  });
});
