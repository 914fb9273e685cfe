/**
 * A volume of sessions: the `session-state` directory of a server that need not run. Only directories of sessions are changed; links,
 * files and other directories are not.
 */
import { lstat, mkdir, readdir, readFile, rename, rmdir, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isSessionId } from '../copilot/session-id.ts';
import type { MeasuredVolume } from '../resources/cleanup-result.ts';
import { OWNER_LABEL } from '../resources/session-removal.ts';
import type { StoredSession } from '../resources/ttl-rule.ts';
import { errorCode, ifExists, sizeOfTree } from './file-tree.ts';
import { removeTree } from './tree-removal.ts';
import { usageOf } from './file-system-usage.ts';

/** Where deleted sessions are moved first. No session id has a dot, and a server lists no session two levels down. */
export const TRASH = '.copilot-operator-deleted';
export const LOCKS = '.session-operation-locks';
/** Where a server stores labels: `{"version":1,"metadata":{...}}`. */
const METADATA = 'client-metadata.json';
const MAX_METADATA_BYTES = 4 * 1024 * 1024;
const JOURNAL = 'events.jsonl';
const LOCK = /^inuse\.\d+\.lock$/;

/** The operations on a volume. */
export class Volume {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  path(...names: readonly string[]): string {
    return join(this.root, ...names);
  }

  /** Directories whose names can be session ids. */
  async directories(): Promise<string[]> {
    const entries = await readdir(this.root, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && isSessionId(entry.name)).map(({ name }) => name);
  }

  /** A session as the TTL rule needs it; undefined when there is none with this id. */
  async session(sessionId: string): Promise<StoredSession | undefined> {
    if (!(await this.isDirectory(sessionId))) return undefined;
    const journal = await ifExists(lstat(this.path(sessionId, JOURNAL)));
    return journal?.isFile() === true ? { sessionId, modifiedTime: journal.mtimeMs } : undefined;
  }

  /** The owner stored with a session: '' for none, undefined when it can't be read. */
  async owner(sessionId: string): Promise<string | undefined> {
    const path = this.path(sessionId, METADATA);
    const stat = await ifExists(lstat(path));
    if (stat === undefined) return '';
    if (!stat.isFile() || stat.size > MAX_METADATA_BYTES) return undefined;
    return ownerIn(await readFile(path, 'utf8'));
  }

  /** mtime of the youngest lock of a session; undefined without one. */
  async lockTime(sessionId: string): Promise<number | undefined> {
    const names = (await ifExists(readdir(this.path(sessionId)))) ?? [];
    const locks = names.filter((name) => LOCK.test(name));
    const stats = await Promise.all(locks.map((name) => ifExists(lstat(this.path(sessionId, name)))));
    const times = stats.flatMap((stat) => (stat === undefined ? [] : [stat.mtimeMs]));
    return times.length === 0 ? undefined : Math.max(...times);
  }

  /** How full its file system is, whoever uses it. */
  async usage(): Promise<Omit<MeasuredVolume, 'name'>> {
    return usageOf(await statfs(this.root));
  }

  /** Bytes of the files in a directory. */
  size(name: string): Promise<number> {
    return sizeOfTree(this.path(name));
  }

  /** Whether this is a directory, and not a link to one. */
  async isDirectory(name: string): Promise<boolean> {
    return (await ifExists(lstat(this.path(name))))?.isDirectory() ?? false;
  }

  /**
   * Deletes a session's directory and its lock, and returns their bytes; undefined when the session was already gone. A rename makes the
   * session disappear in one step; {@link emptyTrash} removes what is left if the process dies after it.
   */
  async delete(sessionId: string): Promise<number | undefined> {
    const directory = this.path(sessionId);
    const trashed = await this.#moveToTrash(sessionId);
    if (trashed === undefined && !(await this.isDirectory(sessionId))) return undefined;
    // In place the journal is deleted last: while it exists, the next run sees the session with the same age.
    const bytes = await (trashed === undefined ? removeTree(directory, JOURNAL) : removeTree(trashed));
    await this.#removeTrashIfEmpty();
    await this.deleteLock(sessionId);
    return bytes;
  }

  /**
   * Ids of sessions that do not exist and have an operation lock, each when it is found: it may exist again a moment later. The server
   * creates these locks empty and never removes them.
   */
  async *orphanLocks(): AsyncGenerator<string> {
    if (!(await this.isDirectory(LOCKS))) return;
    for (const name of (await ifExists(readdir(this.path(LOCKS)))) ?? []) {
      const sessionId = name.endsWith('.lock') ? name.slice(0, -'.lock'.length) : '';
      if (!isSessionId(sessionId)) continue;
      const lock = await ifExists(lstat(this.path(LOCKS, name)));
      if (lock?.isFile() !== true || lock.size !== 0) continue;
      if ((await ifExists(lstat(this.path(sessionId)))) === undefined) yield sessionId;
    }
  }

  async deleteLock(sessionId: string): Promise<void> {
    if (await this.isDirectory(LOCKS)) await ifExists(unlink(this.path(LOCKS, `${sessionId}.lock`)));
  }

  /** The sessions that killed runs left in the trash. */
  async trash(): Promise<string[]> {
    if (!(await this.isDirectory(TRASH))) return [];
    const entries = (await ifExists(readdir(this.path(TRASH), { withFileTypes: true }))) ?? [];
    return entries.filter((entry) => entry.isDirectory() && isSessionId(entry.name)).map(({ name }) => name);
  }

  /** Finishes the deletion of one session, and returns the bytes that were left. */
  async emptyTrash(sessionId: string): Promise<number> {
    const bytes = await removeTree(this.path(TRASH, sessionId));
    await this.#removeTrashIfEmpty();
    return bytes;
  }

  /**
   * The path that the session was moved to; undefined when that failed for any reason: a full volume may lack the block for the directory,
   * another run may have removed it, something else may have its name. Deleting in place then fails with the reason, if it does.
   */
  async #moveToTrash(sessionId: string): Promise<string | undefined> {
    const trashed = this.path(TRASH, sessionId);
    try {
      if (!(await this.isDirectory(TRASH))) await mkdir(this.path(TRASH));
      await removeTree(trashed);
      await rename(this.path(sessionId), trashed);
      return trashed;
    } catch {
      return undefined;
    }
  }

  async #removeTrashIfEmpty(): Promise<void> {
    if (!(await this.isDirectory(TRASH))) return;
    try {
      await rmdir(this.path(TRASH));
    } catch (error) {
      // Another run is using it.
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
    }
  }
}

function ownerIn(text: string): string | undefined {
  try {
    const { metadata } = JSON.parse(text) as { readonly metadata?: Readonly<Record<string, unknown>> };
    if (typeof metadata !== 'object' || metadata === null) return undefined;
    const owner = metadata[OWNER_LABEL] ?? '';
    return typeof owner === 'string' ? owner : undefined;
  } catch {
    return undefined;
  }
}
