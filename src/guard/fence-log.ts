/** What a guard remembers of sessions, in a directory of its pod: it survives the container, and a kill at any moment. */
import { open, readFile, rename, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { isSessionId } from '../copilot/index.ts';
import type { Fence } from './fence.ts';
import { syncDirectory, unlessAbsent, writeDurably } from './stamp-disk.ts';

/** Remembers fences. */
export interface FenceStore {
  /** Those of all sessions, read once at the start. */
  readonly all: ReadonlyMap<string, Fence>;
  /** Resolves when it is durable. */
  save(session: string, fence: Fence): Promise<void>;
}

const FILE = 'epochs';
/** Lines beyond those that are needed, from which on the file is written anew. */
const MOST_OLD_LINES = 10_000;

/** A file to which a line is added for each change. What comes at the same time is made durable together. */
export class FenceLog implements FenceStore {
  readonly all = new Map<string, Fence>();
  readonly #directory: string;
  #file: FileHandle;
  #lines: number;
  /** Lines that wait for the write that is under way, and who waits for them. */
  #waiting: string[] = [];
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  /** A write has failed, and may have left a part of a line. */
  #isTorn = false;

  private constructor(directory: string, file: FileHandle, fences: ReadonlyMap<string, Fence>) {
    this.#directory = directory;
    this.#file = file;
    this.#lines = fences.size;
    for (const [session, fence] of fences) this.all.set(session, fence);
  }

  /** Reads what is there, and leaves out the end of a write that was cut off. */
  static async open(directory: string): Promise<FenceLog> {
    const text = (await unlessAbsent(readFile(join(directory, FILE), 'utf8'))) ?? '';
    const fences = readLines(text);
    return new FenceLog(directory, await rewrite(directory, fences), fences);
  }

  save(session: string, fence: Fence): Promise<void> {
    this.all.set(session, fence);
    this.#waiting.push(lineOf(session, fence));
    this.#next ??= this.#writeAfter(this.#last);
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#file.close();
  }

  /** One write follows the other; a failed one has told those who waited for it. */
  #writeAfter(previous: Promise<void>): Promise<void> {
    const written = previous.catch(() => undefined).then(() => this.#write());
    this.#last = written;
    return written;
  }

  async #write(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    if (this.#isTorn || this.#lines + lines.length > this.all.size + MOST_OLD_LINES) return this.#rewrite();
    this.#isTorn = true;
    await this.#file.appendFile(lines.join(''));
    await this.#file.datasync();
    this.#isTorn = false;
    this.#lines += lines.length;
  }

  /** It gets what the waiting lines say, too. */
  async #rewrite(): Promise<void> {
    const before = this.#file;
    this.#file = await rewrite(this.#directory, this.all);
    this.#isTorn = false;
    this.#lines = this.all.size;
    await before.close();
  }
}

/** A file with these fences in place of the one before, open for more. */
async function rewrite(directory: string, fences: ReadonlyMap<string, Fence>): Promise<FileHandle> {
  const path = join(directory, FILE);
  await writeDurably(`${path}.new`, [...fences].map(([session, fence]) => lineOf(session, fence)).join(''));
  await rename(`${path}.new`, path);
  await syncDirectory(directory);
  return open(path, 'a');
}

function lineOf(session: string, { epoch, state }: Fence): string {
  return `${JSON.stringify([session, epoch, state])}\n`;
}

/** Up to the first line that is not whole: nobody was told of what follows it. */
function readLines(text: string): Map<string, Fence> {
  const fences = new Map<string, Fence>();
  for (const line of text.split('\n').slice(0, -1)) {
    const entry = parseLine(line);
    if (entry === undefined) break;
    fences.set(...entry);
  }
  return fences;
}

function parseLine(line: string): [string, Fence] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const [session, epoch, state] = Array.isArray(value) ? (value as unknown[]) : [];
  if (typeof session !== 'string' || !isSessionId(session) || !Number.isSafeInteger(epoch)) return undefined;
  return state === 'Open' || state === 'Closed' ? [session, { epoch: epoch as number, state }] : undefined;
}
