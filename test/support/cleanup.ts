/** Runs of the real command `cleanup`, and volumes for it to work on. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { parseCleanupResult, type CleanupResult } from '../../src/resources/cleanup-result.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

export type LogLine = Readonly<Record<string, unknown>>;

export interface CleanupOutcome {
  code: number | null;
  /** What the result file holds; undefined without a whole result. */
  result: CleanupResult | undefined;
  log: LogLine[];
  stderr: string;
}

export interface CleanupOptions {
  token?: string;
  /** The command line that runs node; default: node itself. It sees the rest as its last arguments. */
  wrapper?: readonly string[];
  /** User and group to run as. */
  uid?: number;
}

/** A run that is under way. */
export class CleanupRun {
  readonly child: ChildProcess;
  readonly ended: Promise<CleanupOutcome>;
  readonly #log: LogLine[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(args: readonly string[], { token, wrapper = [], uid }: CleanupOptions = {}) {
    const directory = mkdtempSync(join(tmpdir(), 'cleanup-result-'));
    const resultFile = join(directory, 'termination-log');
    const [program = '', ...rest] = [...wrapper, process.execPath, MAIN, 'cleanup', ...args];
    const options: SpawnOptions = {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...(token !== undefined && { COPILOT_CONNECTION_TOKEN: token }) },
      // Only root can become somebody else, and hands over the directory of the result then.
      ...(uid !== undefined && { uid, gid: uid }),
    };
    const withResult = uid === undefined ? [`--result-file=${resultFile}`] : [];
    this.child = spawn(program, [...rest, ...withResult], options);
    this.ended = this.#end(this.child, resultFile).finally(() => rmSync(directory, { recursive: true, force: true }));
  }

  /** Resolves when a line with this message has been logged; rejects when the run ends without. */
  async logged(message: string): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const look = () => {
        if (this.#log.some(({ msg }) => msg === message)) resolve();
      };
      this.#watchers.add(look);
      look();
    });
    const over = this.ended.then(({ log, stderr }) => {
      if (!log.some(({ msg }) => msg === message)) throw new Error(`"${message}" was never logged; ${stderr}`);
    });
    await Promise.race([seen, over]);
  }

  async #end(child: ChildProcess, resultFile: string): Promise<CleanupOutcome> {
    const { stdout, stderr } = child;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    createInterface(stdout).on('line', (line) => {
      this.#log.push(JSON.parse(line) as LogLine);
      for (const look of this.#watchers) look();
    });
    const [errors, [code]] = await Promise.all([text(stderr), once(child, 'close') as Promise<[number | null]>]);
    return { code, result: read(resultFile), log: this.#log, stderr: errors };
  }
}

/** One run from its start to its end. */
export function runCleanup(args: readonly string[], options?: CleanupOptions): Promise<CleanupOutcome> {
  return new CleanupRun(args, options).ended;
}

function read(file: string): CleanupResult | undefined {
  try {
    return parseCleanupResult(readFileSync(file, 'utf8'));
  } catch (error) {
    // A run that was killed leaves none.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A directory that stands for a volume, and is removed in the end. */
export async function temporaryVolume(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'cleanup-volume-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface SessionFiles {
  /** Time since its last activity. */
  ageMs?: number;
  /** The journal; null: the session never had a turn. */
  journal?: string | null;
  /** Further files by their paths in the session's directory. */
  files?: Record<string, string>;
}

/** Makes the directory of a session, and its operation lock, as a server leaves them. All of it is of the given age. */
export async function putSession(volume: string, sessionId: string, options: SessionFiles = {}): Promise<string> {
  const { ageMs = 0, journal = '{"type":"session.start","data":{}}\n', files = {} } = options;
  const directory = join(volume, sessionId);
  const locks = join(volume, '.session-operation-locks');
  const all: Record<string, string> = {
    'workspace.yaml': `id: ${sessionId}\n`,
    '.workspace-fork.lock': '',
    'checkpoints/index.md': '# Checkpoints\n',
    ...(journal !== null && { 'events.jsonl': journal }),
    ...files,
  };
  for (const path of [locks, directory, join(directory, 'files'), join(directory, 'research')]) {
    await mkdir(path, { recursive: true });
  }
  const paths = [join(locks, `${sessionId}.lock`), ...Object.keys(all).map((path) => join(directory, path))];
  await writeFile(paths[0] ?? '', '');
  for (const [path, content] of Object.entries(all)) {
    await mkdir(join(directory, path, '..'), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  const time = (Date.now() - ageMs) / 1000;
  // The directories come last: what is made in them moves their times.
  for (const path of [...paths, ...['checkpoints', 'files', 'research', ''].map((name) => join(directory, name))]) {
    await utimes(path, time, time);
  }
  return directory;
}

/** Lets a session look as if it had been used for the last time so long ago. */
export async function age(sessionDirectory: string, ms: number): Promise<void> {
  const time = (Date.now() - ms) / 1000;
  await utimes(join(sessionDirectory, 'events.jsonl'), time, time);
}
