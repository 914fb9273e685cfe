/** Ids of sessions, apart from the schemas: a command that only deletes sessions needs no zod. */

/** The server's own alphabet of ids; it takes 200 characters and refuses 255. */
export const SESSION_ID_PATTERN = '^[A-Za-z0-9_-]+$';

/** A server makes a directory of this name, so it is no longer than names of files may be. */
const LONGEST = 254;
const pattern = new RegExp(SESSION_ID_PATTERN);

/** Whether a name can be that of a session. Directories of other names are not a server's. */
export function isSessionId(name: string): boolean {
  return name.length <= LONGEST && pattern.test(name);
}
