/**
 * Removes a tree of files that an agent may have created: names of any bytes, directories of any depth and mode. Links are never
 * followed, and what can't be removed does not keep the rest.
 */
import { chmod, lstat, rename, rmdir, unlink } from 'node:fs/promises';
import { affectsOneSession } from './failure.ts';
import { childPath, entriesOf, errorCode, ifExists } from './file-tree.ts';

/** Linux takes paths of up to 4,095 bytes, and a name may have 765: some file systems count its 255 characters, not its bytes. */
const MAX_DIRECTORY_BYTES = 2048;
/** Each level keeps a directory open. */
const MAX_DEPTH = 64;
/** How often a tree is read again to which somebody keeps adding files. */
const MAX_PASSES = 16;

/**
 * Removes `directory` and what is in it, the entry called `last` only when all others are gone, and returns the bytes that this freed.
 * Files that are removed meanwhile are ignored.
 * @throws the first error, after all else was removed; at once when the whole volume is broken.
 */
export async function removeTree(directory: string, last?: string): Promise<number> {
  const removal = new TreeRemoval(Buffer.from(directory), last);
  await removal.run();
  return removal.bytes;
}

class TreeRemoval {
  bytes = 0;
  readonly #root: Buffer;
  readonly #last: Buffer | undefined;
  /** How many directories were moved to the root. */
  #moved = 0;
  #error: Error | undefined;

  constructor(root: Buffer, last: string | undefined) {
    this.#root = root;
    this.#last = last === undefined ? undefined : Buffer.from(last);
  }

  async run(): Promise<void> {
    for (let pass = 1; ; pass += 1) {
      await this.#removeAllButLast();
      await this.#attempt(() => this.#removeEntries(this.#root, 0));
      this.#throwFirstError();
      try {
        await ifExists(rmdir(this.#root));
        return;
      } catch (error) {
        if (!isNotEmpty(error) || pass === MAX_PASSES) throw error;
      }
    }
  }

  async #removeAllButLast(): Promise<void> {
    let moved: number;
    do {
      moved = this.#moved;
      this.#error = undefined;
      const act = () => this.#removeEntries(this.#root, 0, this.#last);
      await this.#attempt(() => withAccess([this.#root], act));
    } while (this.#moved > moved);
    this.#throwFirstError();
  }

  async #removeEntries(directory: Buffer, depth: number, except?: Buffer): Promise<void> {
    for await (const entry of entriesOf(directory)) {
      if (except?.equals(entry.name) === true) continue;
      const path = childPath(directory, entry.name);
      await this.#attempt(() =>
        entry.isDirectory() ? this.#removeDirectory(directory, path, depth + 1) : this.#removeFile(directory, path),
      );
    }
  }

  async #removeDirectory(parent: Buffer, path: Buffer, depth: number): Promise<void> {
    if (depth > MAX_DEPTH || path.length > MAX_DIRECTORY_BYTES) return this.#moveToRoot(parent, path);
    await withAccess([parent, path], () => this.#removeEntries(path, depth));
    try {
      await ifExists(withAccess([parent], () => rmdir(path)));
    } catch (error) {
      // Because of an error that is reported already, or files that were added meanwhile: then the root isn't empty either.
      if (!isNotEmpty(error)) throw error;
    }
  }

  async #removeFile(parent: Buffer, path: Buffer): Promise<void> {
    const stat = await ifExists(withAccess([parent], () => lstat(path)));
    await ifExists(withAccess([parent], () => unlink(path)));
    // A file takes its space until its last link is removed.
    if (stat?.nlink === 1) this.bytes += stat.size;
  }

  /** Moves a directory whose paths are too long to the root, where they are short. */
  async #moveToRoot(parent: Buffer, path: Buffer): Promise<void> {
    for (let suffix = this.#moved; ; suffix += 1) {
      const target = childPath(this.#root, Buffer.from(`deep-${suffix}`));
      try {
        // A directory that is moved must be writable too: its `..` changes.
        await ifExists(withAccess([this.#root, parent, path], () => rename(path, target)));
        this.#moved += 1;
        return;
      } catch (error) {
        // The name is taken.
        if (!isNotEmpty(error) && errorCode(error) !== 'ENOTDIR') throw error;
      }
    }
  }

  #throwFirstError(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /** Continues after an error that is about some files only. */
  async #attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Error) || !affectsOneSession(error)) throw error;
      this.#error ??= error;
    }
  }
}

/** Package managers create directories that are read-only even for their owner, who may change that. */
async function withAccess<T>(directories: readonly Buffer[], act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    for (const directory of directories) await chmod(directory, 0o700);
    return act();
  }
}

function isNotEmpty(error: unknown): boolean {
  return ['ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '');
}
