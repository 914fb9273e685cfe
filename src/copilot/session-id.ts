/** Which names a server gives to sessions. */

/**
 * The server's alphabet, and the longest name of a directory: a server refuses an id of more than 250 characters and leaves
 * a directory of that name all the same, which nobody else would ever remove.
 */
const SESSION_ID = /^[0-9A-Za-z_-]{1,255}$/;

/** Whether a server may have left something under this name, as a session or in vain. Other names are not a server's. */
export function isSessionId(name: unknown): boolean {
  return typeof name === 'string' && SESSION_ID.test(name);
}
