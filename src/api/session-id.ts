/** Ids of sessions, apart from the schemas: a command that only deletes sessions needs no zod. */

/** The server's own alphabet of ids. */
export const SESSION_ID_PATTERN = '^[A-Za-z0-9_-]+$';
/** Characters of an id that a CopilotSession may hold. A server takes 250. */
export const MAX_SESSION_ID_LENGTH = 200;
