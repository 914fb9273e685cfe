/** Runs of the real command `cleanup`, and volumes for it. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { parseCleanupResult, type CleanupResult } from '../../src/resources/cleanup-result.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

export type LogLine = Readonly<Record<string, unknown>>;

export interface CleanupOutcome {
  code: number | null;
  /** The content of the result file; undefined without a whole result. */
  result: CleanupResult | undefined;
  log: LogLine[];
  stderr: string;
}

export interface CleanupOptions {
  token?: string;
  /** A command to run node by, such as setpriv; node's command line is appended. Default: none. */
  wrapper?: readonly string[];
  /** User and group to run as. */
  uid?: number;
}

/** A running cleanup. */
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
      // Only root can become another user, who can't write to the directory of the result then.
      ...(uid !== undefined && { uid, gid: uid }),
    };
    const withResult = uid === undefined ? [`--result-file=${resultFile}`] : [];
    this.child = spawn(program, [...rest, ...withResult], options);
    this.ended = this.#end(this.child, resultFile).finally(() => rmSync(directory, { recursive: true, force: true }));
  }

  /** Resolves when a line with this message is logged; rejects when the run ends without it. */
  async logged(message: string): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const check = () => {
        if (this.#log.some(({ msg }) => msg === message)) resolve();
      };
      this.#watchers.add(check);
      check();
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
      for (const check of this.#watchers) check();
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

/** A directory instead of a volume, which is removed in the end. */
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

/** Creates the directory of a session, and its operation lock, as a server leaves them. All files have the given age. */
export function putSession(volume: string, sessionId: string, options: SessionFiles = {}): string {
  const { ageMs = 0, journal = '{"type":"session.start","data":{}}\n', files = {} } = options;
  const directory = join(volume, sessionId);
  const lock = join(volume, '.session-operation-locks', `${sessionId}.lock`);
  const all: Record<string, string> = {
    'workspace.yaml': `id: ${sessionId}\n`,
    '.workspace-fork.lock': '',
    'checkpoints/index.md': '# Checkpoints\n',
    ...(journal !== null && { 'events.jsonl': journal }),
    ...files,
  };
  const directories = ['checkpoints', 'files', 'research'].map((name) => join(directory, name));
  for (const path of [dirname(lock), ...directories]) mkdirSync(path, { recursive: true });
  writeFileSync(lock, '');
  for (const [path, content] of Object.entries(all)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  const time = (Date.now() - ageMs) / 1000;
  // The directories come last: creating files changes their times.
  for (const path of [lock, ...Object.keys(all).map((name) => join(directory, name)), ...directories, directory]) {
    utimesSync(path, time, time);
  }
  return directory;
}

/** Creates many minimal sessions that a server accepts as its own, with the ages of `ageOf`. */
export function putMany(volume: string, count: number, ageOf: (index: number) => number): void {
  for (let i = 0; i < count; i += 1) {
    const directory = join(volume, `s-${i}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'events.jsonl'), '{"type":"session.start","data":{}}\n');
    age(directory, ageOf(i));
  }
}

/**
 * Creates `depth` directories called `name`, one in the other, each with an empty file `f`, below `directory`. Their path may be longer
 * than any call takes, so they are built from the bottom.
 */
export function putDeepTree(directory: string, name: string, depth: number): void {
  const step = Math.max(1, Math.floor(2000 / (Buffer.byteLength(name) + 1)));
  let below: string | undefined;
  for (let left = depth, part = 0; left > 0; left -= step, part += 1) {
    const top = join(directory, `part-${part}`);
    let leaf = top;
    for (let i = 0; i < Math.min(step, left); i += 1) {
      leaf = join(leaf, name);
      mkdirSync(leaf, { recursive: true });
      writeFileSync(join(leaf, 'f'), '');
    }
    if (below !== undefined) renameSync(below, join(leaf, 'below'));
    below = top;
  }
}

/** Sets the time of a session's last use to so long ago. */
export function age(sessionDirectory: string, ms: number): void {
  const time = (Date.now() - ms) / 1000;
  utimesSync(join(sessionDirectory, 'events.jsonl'), time, time);
}
