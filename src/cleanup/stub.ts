/** Stubs: directories of sessions that never had a turn, without a journal. No server lists them, so no client deletes them. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ifExists } from './file-tree.ts';

/** The server's own files, by their paths in the directory. */
const FILES = new Set([
  'workspace.yaml',
  'client-metadata.json',
  '.client-metadata.lock',
  '.workspace-fork.lock',
  'checkpoints/index.md',
]);
const DIRECTORIES = new Set(['checkpoints', 'files', 'research']);
const IN_USE = /^inuse\.\d+\.(lock|hold)$/;

/**
 * mtime of the newest entry in the directory of a session that never had a turn. Undefined when it has anything that the server did not
 * create on its own: a journal, a file of an agent or a user, a link.
 */
export async function stubTime(directory: string, below = ''): Promise<number | undefined> {
  const stat = await ifExists(lstat(directory));
  if (stat === undefined) return undefined;
  let youngest = stat.mtimeMs;
  for (const entry of (await ifExists(readdir(directory, { withFileTypes: true }))) ?? []) {
    const path = `${below}${entry.name}`;
    const inner = join(directory, entry.name);
    let time: number | undefined;
    if (entry.isDirectory() && DIRECTORIES.has(path)) time = await stubTime(inner, `${path}/`);
    else if (entry.isFile() && (FILES.has(path) || IN_USE.test(path))) time = (await ifExists(lstat(inner)))?.mtimeMs;
    if (time === undefined) return undefined;
    youngest = Math.max(youngest, time);
  }
  return youngest;
}
