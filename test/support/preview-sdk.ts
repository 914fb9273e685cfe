/** The preview of the next Node SDK of Copilot, in a directory of its own that is made once and kept in the cache. */
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { output } from './tools.ts';

const VERSION = '1.0.15-preview.4';

/** The path of its module. Needs npm, and the first time a registry. */
export async function previewSdk(): Promise<string> {
  const env = process.env;
  const cache =
    env['COPILOT_CLUSTER_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'copilot-operator');
  const made = join(cache, `node-sdk-${VERSION}`);
  const module = join(made, 'node_modules/@github/copilot-sdk/dist/index.js');
  if (existsSync(module)) return module;
  const partial = mkdtempSync(`${made}.`);
  try {
    // Without the programs of the server, which the images have.
    const options = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
    await output('npm', ['install', '--prefix', partial, ...options, `@github/copilot-sdk@${VERSION}`]);
    // Another test worker may have been quicker; its result is the same.
    if (!existsSync(made)) renameSync(partial, made);
    return module;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
