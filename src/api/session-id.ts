/** Ids of sessions, apart from the schemas, so that a command that only deletes sessions does not load zod. */

/** The server's own alphabet of ids. */
export const SESSION_ID_PATTERN = '^[A-Za-z0-9_-]+$';
/** Most characters of a CopilotSession's id. A server accepts 250. */
export const MAX_SESSION_ID_LENGTH = 200;
