/** Errors that a run goes on after, and what they mean to people. */
import { CopilotError, RefusedError, RpcError, TimeoutError, UnreachableError } from '../copilot/index.ts';
import { errorCode } from './file-tree.ts';

/** A signal ended the run between two deletions. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

const MEANINGS: Readonly<Record<string, string>> = {
  EROFS: 'the volume is read-only: mount it writable, or have its file system checked',
  EACCES: 'the permission is missing: its files must belong to the user that the servers run as',
  EPERM: 'it is not permitted: its files must belong to the user that the servers run as',
  EIO: 'the volume has an input/output error: have it checked',
  ESTALE: 'the volume is gone from its node: mount it again',
  ENOENT: 'there is no such directory: mount the volume',
  ENOTDIR: 'it is no directory: mount the volume',
};

/** What `quote` of src/copilot made of a peer's words: a JSON string. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/**
 * One sentence for an error of a server or of a file system, for the tenant's status. It has no word of the server, which says what
 * its agent makes it say, and names no file: agents make files and name them after what their users say. Any other error is a mistake
 * of this program, and is thrown on.
 */
export function statusMessage(error: unknown): string {
  // These two are our own words altogether, what they quote included.
  if (error instanceof UnreachableError || error instanceof TimeoutError) return error.message;
  if (error instanceof CopilotError) return error.message.replace(QUOTED, '"..."');
  const code = errorCode(error);
  if (code === undefined) throw error;
  const { syscall = 'unknown call' } = error as NodeJS.ErrnoException;
  return `${MEANINGS[code] ?? 'the file system refused'} (${code}, ${syscall})`;
}

/** The whole of it, a server's words included: for the log alone. */
export function fullMessage(error: unknown): string {
  return error instanceof CopilotError ? error.message : statusMessage(error);
}

/**
 * Whether an error concerns one session only: a server's answer that is an error, or a file that the file system refuses. After any
 * other (no connection, something that is not the protocol, a broken or read-only volume) the next session would fare no better.
 */
export function affectsOneSession(error: unknown): boolean {
  if (error instanceof CopilotError) {
    return error instanceof RefusedError || error instanceof RpcError || error instanceof TimeoutError;
  }
  const code = errorCode(error);
  return code !== undefined && !['EROFS', 'EIO', 'ESTALE'].includes(code);
}
