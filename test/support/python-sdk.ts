/** The Python SDK of Copilot, in an environment of its own that is made once and kept in the cache. */
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { output } from './tools.ts';

const VERSION = '1.0.27';

/** The path of a Python that has the SDK. Needs python3 (3.11 or later) with venv, and the first time a package index. */
export async function pythonWithSdk(): Promise<string> {
  const env = process.env;
  const cache =
    env['COPILOT_CLUSTER_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'copilot-operator');
  const made = join(cache, `python-sdk-${VERSION}`);
  const python = join(made, 'bin/python');
  if (existsSync(python)) return python;
  const partial = mkdtempSync(`${made}.`);
  try {
    await output('python3', ['-m', 'venv', partial]);
    const install = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      `github-copilot-sdk==${VERSION}`,
    ];
    await output(join(partial, 'bin/python'), install);
    // Another test worker may have been quicker; its result is the same. Only bin/python is used, which may be moved.
    if (!existsSync(made)) renameSync(partial, made);
    return python;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
