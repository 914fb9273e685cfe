/** Ids of sessions, apart from the schemas: a command that only deletes sessions needs no zod. */

/** The server's own alphabet of ids. */
export const SESSION_ID_PATTERN = '^[A-Za-z0-9_-]+$';
/** Characters of an id that a CopilotSession may hold. A server takes 250. */
export const MAX_SESSION_ID_LENGTH = 200;

/**
 * The longest name of a directory. A server refuses an id of more than 250 characters and leaves a directory of that name all
 * the same, which nobody else would ever remove.
 */
const LONGEST = 255;
const pattern = new RegExp(SESSION_ID_PATTERN);

/**
 * Whether a server may have left something under this name, as a session or in vain. Directories of other names are not a
 * server's.
 */
export function isSessionId(name: string): boolean {
  return name.length <= LONGEST && pattern.test(name);
}
