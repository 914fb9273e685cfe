/** Files of stamps on a volume that pods of several nodes may have mounted. */
import { link, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EPOCHS_DIRECTORY } from '../resources/guard-protocol.ts';
import { PARTIAL, type StampFiles } from './stamps.ts';

/** How file systems say that they have no hard links, such as SMB's and those of FUSE. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EPERM', 'EMLINK']);

/** Below `root`. `writer`: no other process has or had the same. */
export class StampDisk implements StampFiles {
  readonly #root: string;
  readonly #writer: string;
  readonly #link: typeof link;
  #written = 0;

  constructor(root: string, writer: string, makeLink: typeof link = link) {
    this.#root = root;
    this.#writer = writer;
    this.#link = makeLink;
  }

  /** Why no stamp can ever be made on this volume; undefined: it can. What else fails, and may pass, rejects. */
  async unfitness(): Promise<string | undefined> {
    const path = `${EPOCHS_DIRECTORY}/.links-${this.#writer}`;
    const target = join(this.#root, path);
    const partial = await this.#writePartial(target, '');
    try {
      await this.#link(partial, target);
      return undefined;
    } catch (error) {
      const code = codeOf(error);
      if (!NO_LINKS.has(code)) throw error;
      return (
        `the shared volume at ${this.#root} has no hard links (${code}): use a StorageClass of NFS or CephFS; ` +
        'with Azure Files one with protocol nfs. SMB and FUSE have none'
      );
    } finally {
      await rm(partial, { force: true });
      await rm(target, { force: true });
    }
  }

  async list(directory: string): Promise<readonly string[]> {
    return (await unlessAbsent(readdir(join(this.#root, directory)))) ?? [];
  }

  read(path: string): Promise<string | undefined> {
    return unlessAbsent(readFile(join(this.#root, path), 'utf8'));
  }

  /** A link fails where there is a file of the name, also on NFS, where no lock is needed for it. */
  async create(path: string, text: string): Promise<boolean> {
    const target = join(this.#root, path);
    const partial = await this.#writePartial(target, text);
    try {
      await this.#link(partial, target);
      await syncDirectory(dirname(target));
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    } finally {
      await rm(partial, { force: true });
    }
  }

  async replace(path: string, text: string): Promise<void> {
    const target = join(this.#root, path);
    await rename(await this.#writePartial(target, text), target);
    await syncDirectory(dirname(target));
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.#root, path), { force: true });
  }

  async #writePartial(target: string, text: string): Promise<string> {
    await mkdir(dirname(target), { recursive: true });
    this.#written += 1;
    const partial = join(dirname(target), `${PARTIAL}${this.#writer}-${this.#written}`);
    // What is there of another file may be linked to its place: it is never written to.
    await writeDurably(partial, text, 'wx');
    return partial;
  }
}

/** Writes a whole file, and waits until it is on the disk. */
export async function writeDurably(path: string, text: string, flags: 'w' | 'wx' = 'w'): Promise<void> {
  await using file = await open(path, flags, 0o640);
  await file.writeFile(text);
  await file.sync();
}

/** A new name in a directory is durable only after this. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

/** Undefined if there is no such file. */
export async function unlessAbsent<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
