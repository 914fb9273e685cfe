/** What a guard remembers of sessions, in a directory of its pod: it survives the container, and a kill at any moment. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSessionId } from '../copilot/index.ts';
import type { Fence } from './fence.ts';
import { syncDirectory, unlessAbsent, writeDurably } from './stamp-disk.ts';

/** Remembers fences. */
export interface FenceStore {
  /** Those of all sessions that are open, and of some that are closed, read once at the start. */
  readonly all: ReadonlyMap<string, Fence>;
  /** That of any session. */
  find(session: string): Promise<Fence | undefined>;
  /** Resolves when it is durable. */
  save(session: string, fence: Fence): Promise<void>;
}

const FILE = 'epochs';
/** Lines beyond those that are needed, from which on the file is written anew. */
const MOST_OLD_LINES = 10_000;

/** Closed sessions beyond these are in files of their own, of which nothing is in memory. */
const MOST_CLOSED = 10_000;
/** The directory of those files, each with the sessions of one hash. */
const CLOSED = 'closed';

/** A file to which a line is added for each change. What comes at the same time is made durable together. */
export class FenceLog implements FenceStore {
  readonly all = new Map<string, Fence>();
  readonly #directory: string;
  readonly #mostClosed: number;
  #file: FileHandle;
  #lines: number;
  #closed = 0;
  /** Lines that wait for the write that is under way, and who waits for them. */
  #waiting: string[] = [];
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  /** A write has failed, and may have left a part of a line. */
  #isTorn = false;

  private constructor(directory: string, file: FileHandle, fences: ReadonlyMap<string, Fence>, mostClosed: number) {
    this.#directory = directory;
    this.#mostClosed = mostClosed;
    this.#file = file;
    this.#lines = fences.size;
    for (const [session, fence] of fences) this.#set(session, fence);
  }

  /** Reads what is there, and leaves out the end of a write that was cut off. */
  static async open(directory: string, mostClosed = MOST_CLOSED): Promise<FenceLog> {
    const fences = await readFences(join(directory, FILE));
    return new FenceLog(directory, await rewrite(join(directory, FILE), fences), fences, mostClosed);
  }

  async find(session: string): Promise<Fence | undefined> {
    const known = this.all.get(session);
    if (known !== undefined) return known;
    const found = (await readFences(this.#fileOf(session))).get(session);
    // What was saved meanwhile is newer.
    return this.all.get(session) ?? found;
  }

  save(session: string, fence: Fence): Promise<void> {
    this.#set(session, fence);
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
    const isLong = this.#lines + lines.length > this.all.size + MOST_OLD_LINES;
    if (this.#isTorn || isLong || this.#closed > 2 * this.#mostClosed) return this.#rewrite();
    this.#isTorn = true;
    await this.#file.appendFile(lines.join(''));
    await this.#file.datasync();
    this.#isTorn = false;
    this.#lines += lines.length;
  }

  /** It gets what the waiting lines say, too. */
  async #rewrite(): Promise<void> {
    const before = this.#file;
    await this.#putAside();
    this.#file = await rewrite(join(this.#directory, FILE), this.all);
    this.#isTorn = false;
    this.#lines = this.all.size;
    await before.close();
  }

  /** Has those that were closed first in files of their own, before they are in the common one no more. */
  async #putAside(): Promise<void> {
    const closed = [...this.all].filter(([, { state }]) => state === 'Closed');
    const files = new Map<string, [string, Fence][]>();
    for (const entry of closed.slice(0, Math.max(0, closed.length - this.#mostClosed))) {
      const path = this.#fileOf(entry[0]);
      files.set(path, [...(files.get(path) ?? []), entry]);
    }
    if (files.size > 0) await mkdir(join(this.#directory, CLOSED), { recursive: true });
    for (const [path, entries] of files) {
      const file = await rewrite(path, new Map([...(await readFences(path)), ...entries]));
      await file.close();
      for (const [session, fence] of entries) if (this.all.get(session) === fence) this.#delete(session);
    }
  }

  #fileOf(session: string): string {
    return join(this.#directory, CLOSED, createHash('sha256').update(session).digest('hex').slice(0, 2));
  }

  #set(session: string, fence: Fence): void {
    // The ones that were closed first come first.
    this.#delete(session);
    this.all.set(session, fence);
    if (fence.state === 'Closed') this.#closed += 1;
  }

  #delete(session: string): void {
    if (this.all.get(session)?.state === 'Closed') this.#closed -= 1;
    this.all.delete(session);
  }
}

/** What is in a file of fences; nothing if there is none. */
async function readFences(path: string): Promise<Map<string, Fence>> {
  return readLines((await unlessAbsent(readFile(path, 'utf8'))) ?? '');
}

/** A file with these fences in place of the one before, open for more. */
async function rewrite(path: string, fences: ReadonlyMap<string, Fence>): Promise<FileHandle> {
  await writeDurably(`${path}.new`, [...fences].map(([session, fence]) => lineOf(session, fence)).join(''));
  await rename(`${path}.new`, path);
  await syncDirectory(dirname(path));
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
