// The content of the operator's image: a few files that start anywhere, without the checkout's node_modules.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { parse, parseAllDocuments } from 'yaml';
import { bundle, licences } from '../../../scripts/build.ts';
import { parseCleanupResult } from '../../../src/resources/cleanup-result.ts';
import { DAY, putSession } from '../../support/cleanup.ts';

interface Sources {
  sources: string[];
}

let directory: string;
let metafile: Metafile;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bundle-'));
  metafile = await bundle('src/main.ts', directory);
}, 60_000);

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** Runs the bundle where nothing of the project can be found. */
const run = (...args: string[]) =>
  spawnSync(process.execPath, [join(directory, 'main.js'), ...args], {
    cwd: directory,
    encoding: 'utf8',
    env: { NODE_OPTIONS: '--enable-source-maps', HOME: directory },
    timeout: 20_000,
  });

/** Files of which something is loaded with this one, before anything else is asked for. */
function loadedWith(entryPoint: string): string[] {
  const entry = Object.keys(metafile.outputs).find((file) => metafile.outputs[file]?.entryPoint === entryPoint);
  const chunks = new Set(entry === undefined ? [] : [entry]);
  for (const chunk of chunks) {
    for (const { path, kind } of metafile.outputs[chunk]?.imports ?? []) {
      if (kind === 'import-statement' && path in metafile.outputs) chunks.add(path);
    }
  }
  const inputs = [...chunks].flatMap((chunk) => Object.entries(metafile.outputs[chunk]?.inputs ?? {}));
  return inputs.flatMap(([file, { bytesInOutput }]) => (bytesInOutput ? [file] : []));
}

describe('the bundled operator', () => {
  it('prints the CRDs as they are in the repository', async () => {
    const { stdout, stderr } = run('crds');
    expect(stderr).toBe('');
    const files = ['copilottenants', 'copilotsessions'].map((plural) => `crds/copilot-operator.dev_${plural}.yaml`);
    const written = await Promise.all(files.map(async (file) => parse(await readFile(file, 'utf8')) as unknown));
    expect(parseAllDocuments(stdout).map((document) => document.toJS() as unknown)).toEqual(written);
  });

  it('starts until it needs a cluster, with all dependencies loaded', () => {
    const { status, stdout, stderr } = run(
      'operator',
      '--server-image=example/server:1',
      '--operator-image=example/operator:1',
    );
    expect(status).toBe(2);
    expect(stdout + stderr).toMatch(/kubeconfig|cluster/i);
    expect(stdout + stderr).not.toMatch(/Cannot find|require is not defined|__dirname/);
  });

  it('cleans up a volume, and writes the result', async () => {
    const volume = join(directory, 'session-state');
    const result = join(directory, 'termination-log');
    putSession(volume, 'old', { ageMs: 8 * DAY });
    putSession(volume, 'young');
    const { status, stderr } = run('cleanup', '--ttl=168h', `--volume=a-0=${volume}`, `--result-file=${result}`);
    expect([status, stderr]).toEqual([0, '']);
    expect(parseCleanupResult(await readFile(result, 'utf8'))).toMatchObject({ kept: 1, sessions: ['old'] });
  });

  it('has source maps, for the stacks of its errors', async () => {
    const maps = (await readdir(directory)).filter((file) => file.endsWith('.js.map'));
    const parsed = maps.map(async (file) => JSON.parse(await readFile(join(directory, file), 'utf8')) as Sources);
    const sources = (await Promise.all(parsed)).flatMap((map) => map.sources);
    expect(sources.some((source) => source.endsWith('src/commands/operator/command.ts'))).toBe(true);
  });

  it.each(['operator', 'gateway'])(
    'loads neither zod, the tokens of jose nor the models of client-node for the command %s',
    (name) => {
      const inputs = loadedWith(`src/commands/${name}/command.ts`);
      expect(inputs).toContain(`src/commands/${name}/command.ts`);
      expect(inputs).toContain('src/kube/client/client.ts');
      expect(
        inputs.filter((file) =>
          /modules\/(zod|jose\/dist\/webapi\/jw[st])\/|client-node\/dist\/gen\/models\//.test(file),
        ),
      ).toEqual([]);
    },
  );

  it('is ASCII, which V8 stores with one byte per character', async () => {
    for (const file of (await readdir(directory)).filter((name) => name.endsWith('.js'))) {
      expect(await readFile(join(directory, file), 'latin1')).not.toMatch(/[\x80-\xff]/);
    }
  });

  it('has the licences of everything in it', async () => {
    const text = await licences(metafile);
    const packages = text.match(/^\S+ \d+\.\d+\.\S+ \((?!undefined)\S.*\)$/gm)?.map((line) => line.split(' ')[0]);
    expect(packages).toEqual(
      expect.arrayContaining(['@kubernetes/client-node', 'pino', 'prom-client', 'undici', 'zod']),
    );
    expect(packages).not.toContain('typescript');
  });
});
