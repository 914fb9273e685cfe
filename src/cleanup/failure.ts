/** The errors of a run: which of them end it, and what is reported of them. */
import { CopilotError, RefusedError, RpcError, TimeoutError, unquotedMessageOf } from '../copilot/index.ts';
import { errorCode } from './file-tree.ts';

/** A signal ended the run between two deletions. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

/** A run has taken as long as it may. */
export class OutOfTimeError extends Error {
  override readonly name = 'OutOfTimeError';
}

const MEANINGS: Readonly<Record<string, string>> = {
  EROFS: 'the volume is read-only: mount it writable, or check its file system',
  EACCES: 'permission denied: the files must belong to the user that the servers run as',
  EPERM: 'operation not permitted: the files must belong to the user that the servers run as',
  EIO: 'input/output error: check the volume',
  ESTALE: 'the volume is no longer available on its node: mount it again',
  ENOENT: 'no such directory: mount the volume',
  ENOTDIR: 'not a directory: mount the volume',
};

/**
 * The message of an error of a server or a file system for the tenant's status. It has no text of the server, which its agent may have
 * written, and no file name: agents create files and name them after what their users say.
 * @throws any other error: it is a bug of this program.
 */
export function statusMessage(error: unknown): string {
  if (error instanceof CopilotError) return unquotedMessageOf(error);
  const code = errorCode(error);
  if (code === undefined) throw error;
  const { syscall = 'unknown call' } = error as NodeJS.ErrnoException;
  return `${MEANINGS[code] ?? 'the file system refused the operation'} (${code}, ${syscall})`;
}

/** The whole message, including text of a server: for the log only. */
export function fullMessage(error: unknown): string {
  return error instanceof CopilotError ? error.message : statusMessage(error);
}

/**
 * Whether an error affects one session only: an error answer of a server, or a file that the file system refuses. After any other (no
 * connection, another protocol, a broken or read-only volume) the next session would fail too.
 */
export function affectsOneSession(error: unknown): boolean {
  if (error instanceof CopilotError) {
    return error instanceof RefusedError || error instanceof RpcError || error instanceof TimeoutError;
  }
  const code = errorCode(error);
  return code !== undefined && !['EROFS', 'EIO', 'ESTALE'].includes(code);
}
