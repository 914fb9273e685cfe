import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { PROJECT } from './tenant-api.ts';
import { output, run, toolPath } from './tools.ts';

export const CHART = join(PROJECT, 'charts/copilot-operator');

const PREVIOUS = join(PROJECT, 'test/fixtures/charts');

/** The newest released chart before the one of this checkout. */
export function previousChart(): string {
  const newest = readdirSync(PREVIOUS)
    .filter((name) => name.endsWith('.tgz'))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  if (newest === undefined) throw new Error(`no chart of a previous version in ${PREVIOUS}`);
  return join(PREVIOUS, newest);
}

/** The registry that `make images` pushes to. */
const IMAGES = process.env['IMAGE_REGISTRY'] || 'localhost';

/** Values that intentionally have no default. */
export const REQUIRED_VALUES = {
  image: { repository: `${IMAGES}/copilot-operator`, tag: 'dev' },
  serverImage: process.env['SERVER_IMAGE'] ?? `${IMAGES}/copilot-cli:1.0.102`,
};

/** One rendered object; tests check the parts that they are about. */
export interface Rendered {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  rules?: PolicyRule[];
  spec?: Record<string, unknown>;
}

export interface PolicyRule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** Values as helm takes them from standard input. */
const VALUES = ['--values', '-'];

export const helm = (args: string[], values?: unknown) =>
  output(toolPath('helm'), [...args, ...(values === undefined ? [] : VALUES)], { input: JSON.stringify(values ?? {}) });

/** What helm says when it must fail. */
export async function helmFailure(args: string[], values: unknown): Promise<string> {
  const { code, stdout, stderr } = await run(toolPath('helm'), [...args, ...VALUES], { input: JSON.stringify(values) });
  if (code === 0) throw new Error(`helm ${args.join(' ')} succeeded: ${stdout}`);
  return stderr;
}

/** The chart's manifests for a release in the namespace `operators`. */
export const render = (values: object = {}) =>
  helm(['template', 'copilot-operator', CHART, '--namespace=operators'], { ...REQUIRED_VALUES, ...values });

export const objectsOf = (manifests: string) =>
  parseAllDocuments(manifests)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
