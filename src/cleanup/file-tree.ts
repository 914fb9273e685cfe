/** Reading trees of files that an agent may have created: names are bytes, links are never followed. */
import type { Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';

const SLASH = Buffer.from('/');

/** The `code` of an error of the file system. */
export function errorCode(error: unknown): string | undefined {
  // By its shape: the errors of node:fs may belong to another realm than this module.
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : undefined;
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

/** Not `join` of node:path, which would decode the bytes. */
export function childPath(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

/** The entries of a directory, a few at a time, because an agent may create a million; none when it does not exist. */
export async function* entriesOf(directory: Buffer): AsyncGenerator<Dirent<Buffer>> {
  // The types of Node lack this encoding.
  const options = { encoding: 'buffer' as BufferEncoding, bufferSize: 256 };
  const entries = await ifExists(opendir(directory, options));
  if (entries !== undefined) yield* entries as unknown as AsyncIterable<Dirent<Buffer>>;
}

/** Bytes of the files in `directory` that can be read: about what `removeTree` would free. */
export async function sizeOfTree(directory: string): Promise<number> {
  let bytes = 0;
  /** How many links were found to each file that has several. */
  const links = new Map<string, number>();
  const pending: Buffer[] = [Buffer.from(directory)];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    try {
      for await (const entry of entriesOf(next)) {
        const path = childPath(next, entry.name);
        if (entry.isDirectory()) {
          pending.push(path);
          continue;
        }
        const stat = await ifExists(lstat(path));
        if (stat === undefined) continue;
        const key = `${stat.dev} ${stat.ino}`;
        const found = (links.get(key) ?? 0) + 1;
        if (stat.nlink > 1) links.set(key, found);
        if (found >= stat.nlink) bytes += stat.size;
      }
    } catch (error) {
      // Reading it would require a change of its mode.
      if (errorCode(error) !== 'EACCES') throw error;
    }
  }
  return bytes;
}
