// `docker build .` gets only the files that .dockerignore lets through. `make images` bundles in the checkout and would not
// notice that one is missing.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../..');
let context: string;

beforeAll(async () => {
  context = await mkdtemp(join(tmpdir(), 'image-'));
  const lines = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n');
  const allowed = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  expect(lines).toContain('*');
  for (const path of allowed) await cp(join(root, path), join(context, path), { recursive: true });
  // What `npm install` of the Dockerfile brings.
  await symlink(join(root, 'node_modules'), join(context, 'node_modules'));
});

afterAll(() => rm(context, { recursive: true }));

describe('the build context of the image', () => {
  it('has everything that the bundle is made of', async () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/build.ts'], {
      cwd: context,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(await readdir(join(context, 'dist'))).toEqual(
      expect.arrayContaining(['main.js', 'main.js.map', 'LICENSE', 'THIRD-PARTY-LICENSES']),
    );
  }, 90_000);
});
