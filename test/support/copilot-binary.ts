// The real Copilot CLI and the light runtime inside of it, as `make images` left them in the cache.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** Which server program: the documented CLI, or the light one that its package contains. */
export type ServerBinary = 'cli' | 'runtime';

/** The CLI's version that the images are built from. */
export function cliVersion(): string {
  const versions = readFileSync(join(root, 'images/versions.sh'), 'utf8');
  const version = /^COPILOT_CLI_VERSION=(\S+)$/m.exec(versions)?.[1];
  if (version === undefined) throw new Error('images/versions.sh has no COPILOT_CLI_VERSION');
  return version;
}

/** The unpacked npm package @github/copilot-linux-x64: COPILOT_CLI_PACKAGE, or the directory that `make images` fills. */
function cliPackage(): string {
  const env = process.env;
  const cache =
    env['COPILOT_CLUSTER_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'copilot-operator');
  const found = env['COPILOT_CLI_PACKAGE'] ?? join(cache, `copilot-cli-${cliVersion()}`);
  if (!existsSync(join(found, 'copilot'))) {
    throw new Error(
      `no Copilot CLI in ${found}: run 'make images', or set COPILOT_CLI_PACKAGE to its unpacked package`,
    );
  }
  return found;
}

/**
 * Where the CLI has unpacked itself (235 MB), done once and kept beside its package. A server started with this
 * directory as COPILOT_PKG_CACHE_HOME unpacks nothing.
 */
export function cliPackageCache(): string {
  const program = join(cliPackage(), 'copilot');
  const unpacked = `${dirname(program)}-unpacked`;
  if (existsSync(unpacked)) return unpacked;
  const partial = mkdtempSync(`${unpacked}.`);
  try {
    const { status, stderr } = spawnSync(program, [], {
      env: { HOME: partial, COPILOT_PKG_CACHE_HOME: partial, COPILOT_SEA_EXTRACT_ONLY: '1' },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${program} did not unpack itself (exit status ${status}): ${stderr}`);
    // Another test worker may have been quicker; its result is the same.
    if (!existsSync(unpacked)) renameSync(partial, unpacked);
    return unpacked;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** The path of a server program. */
export function serverBinary(binary: ServerBinary): string {
  if (binary === 'cli') return join(cliPackage(), 'copilot');
  const cache = cliPackageCache();
  const runtime = readdirSync(cache, { recursive: true, encoding: 'utf8' }).find((path) =>
    /(^|\/)copilot-runtime$/.test(path),
  );
  if (runtime === undefined) throw new Error(`no copilot-runtime in ${cache}: remove that directory and try again`);
  return join(cache, runtime);
}
