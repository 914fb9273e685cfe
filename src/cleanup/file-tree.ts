/** Trees of files that an agent may have created: links are never followed, and any mode is possible. */
import { chmod, lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** The `code` of an error of the file system. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** The result of `operation`, or undefined when its file does not exist. */
export async function ifExists<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    // A name that is too long does not exist either, such as the lock of an id of maximal length.
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/**
 * Removes `directory` and what is in it, the entry called `last` after all others, and returns the bytes of its files.
 * Files that are removed meanwhile are ignored.
 */
export async function removeTree(directory: string, last?: string): Promise<number> {
  let bytes = 0;
  const entries = (await ifExists(withAccess(directory, () => readdir(directory, { withFileTypes: true })))) ?? [];
  for (const entry of entries.toSorted((a, b) => Number(a.name === last) - Number(b.name === last))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      bytes += await removeTree(path);
    } else {
      const size = (await ifExists(lstat(path)))?.size;
      await ifExists(withAccess(directory, () => unlink(path)));
      bytes += size ?? 0;
    }
  }
  await ifExists(rmdir(directory));
  return bytes;
}

/** Bytes of the files in `directory` that can be read: about what {@link removeTree} would return. */
export async function sizeOfTree(directory: string): Promise<number> {
  let bytes = 0;
  const entries = await ifExists(readdir(directory, { withFileTypes: true })).catch((error: unknown) => {
    // Reading it would require a change of its mode.
    if (errorCode(error) === 'EACCES') return undefined;
    throw error;
  });
  for (const entry of entries ?? []) {
    const path = join(directory, entry.name);
    bytes += entry.isDirectory() ? await sizeOfTree(path) : ((await ifExists(lstat(path)))?.size ?? 0);
  }
  return bytes;
}

/** Package managers create directories that are read-only even for their owner, who may change that. */
async function withAccess<T>(directory: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    await chmod(directory, 0o700);
    return act();
  }
}
