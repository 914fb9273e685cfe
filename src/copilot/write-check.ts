/**
 * Whether a server can write to its volume. A server whose `session-state` directory cannot be written starts, answers pings
 * and lists sessions; only the creation of a session fails.
 */
import { call, objectOf } from './answer.ts';
import type { CallOptions, Requester } from './client.ts';
import { RpcError } from './errors.ts';
import { deleteSession } from './session-calls.ts';

/** The id that the check uses. It is reserved: a session of this id would be deleted. */
export const WRITE_CHECK_ID = 'copilot-operator-write-check';

const ERRORS = ['EACCES', 'EPERM', 'EROFS'] as const;
/** Why a server cannot write: the permissions of the directory, or a read-only file system. */
export type WriteError = (typeof ERRORS)[number];

/**
 * Why the server cannot write to its volume; undefined if it can, or if its answers do not show it. The first call takes
 * milliseconds and leaves one empty file in the volume, the same each time; the CLI notifies its clients that this id was deleted. Its answer is only a hint,
 * so the creation of a session confirms it, which leaves nothing behind when it fails for this reason.
 */
export async function findWriteError(server: Requester, options: CallOptions): Promise<WriteError | undefined> {
  try {
    if (await canTakeLock(server, options)) return undefined;
    await call(server, 'session.create', { sessionId: WRITE_CHECK_ID }, options);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return ERRORS.find((code) => new RegExp(`\\b${code}\\b`).test(error.serverMessage));
  }
  await deleteSession(server, WRITE_CHECK_ID, options);
  return undefined;
}

// To delete a session the server first creates a file that locks its id, also if there is no such session. If that fails,
// the id is missing from the answer.
async function canTakeLock(server: Requester, options: CallOptions): Promise<boolean> {
  const method = 'sessions.bulkDelete';
  const { freedBytes } = await call(server, method, { sessionIds: [WRITE_CHECK_ID] }, options);
  return Object.hasOwn(objectOf(server, method, 'freedBytes', freedBytes), WRITE_CHECK_ID);
}
