/**
 * The reviewed table of calls that a guard treats in a way of their own. A method that is not here needs a grant for the session that it
 * names, so that a new version of the CLI brings nothing in unseen.
 */
import { WRITE_CHECK_ID } from '../copilot/index.ts';
import type { CallKind } from './fence.ts';

/**
 * - `Load`, `Close`, `Delete`: one at a time for each session, under a grant;
 * - `Read`: it changes no session and loads none, so it needs no grant;
 * - `Never`: no grant permits it.
 */
type MethodClass = Exclude<CallKind, 'Other'> | 'Read' | 'Never';

/** What a guard does with a call: as above; `Other`: it needs a grant; `Pass`: it concerns no session. */
export type CallClass = CallKind | 'Read' | 'Never' | 'Pass';

/** It passes only as a question: {@link isWriteCheck}. */
export const BULK_DELETE = 'sessions.bulkDelete';

/** Method, what it is, why. In the order of names within each. */
export const GUARDED_METHODS: readonly (readonly [method: string, kind: MethodClass, why: string])[] = [
  ['session.create', 'Load', 'it writes the first event of a session, or another one into the journal of an old one'],
  ['session.resume', 'Load', 'the server reads the journal, and writes to it from then on'],
  ['sessions.fork', 'Load', 'it reads a whole journal, which nobody may write meanwhile'],
  ['sessions.open', 'Load', 'one of its kinds resumes the session'],

  ['sessions.close', 'Close', 'what the server has yet to write is written before it answers'],

  ['session.delete', 'Delete', 'it removes the files, also those that another server writes to'],
  ['sessions.delete', 'Delete', 'the same'],

  ['session.getForeground', 'Read', 'it says which session a terminal shows'],
  ['session.getLastId', 'Read', 'it lists'],
  ['session.getMetadata', 'Read', 'it lists one'],
  ['session.list', 'Read', 'it lists'],
  ['session.metadata.activity', 'Read', 'it says whether the session is loaded, and loads none'],
  ['sessions.checkInUse', 'Read', 'it looks at lock files'],
  ['sessions.findByPrefix', 'Read', 'it lists'],
  ['sessions.findByTaskId', 'Read', 'it lists'],
  ['sessions.getBoardEntryCount', 'Read', 'it counts'],
  ['sessions.getClientMetadata', 'Read', 'it reads what clients have stored beside sessions'],
  ['sessions.getLastForContext', 'Read', 'it lists'],
  ['sessions.getMetadata', 'Read', 'it lists one'],
  ['sessions.getPersistedRemoteSteerable', 'Read', 'it reads one flag of a session'],
  ['sessions.getRemoteControlStatus', 'Read', 'it concerns the connection to GitHub'],
  ['sessions.getSizes', 'Read', 'it measures'],
  ['sessions.list', 'Read', 'it lists'],
  ['sessions.listNonEmptySessionIds', 'Read', 'it lists'],
  ['sessions.readPersistedEvents', 'Read', 'it reads the journal and loads nothing'],

  ['agentRegistry.spawn', 'Never', 'it starts another server, which has no guard'],
  ['persistence.writeRawJsonLocked', 'Never', 'it writes any file'],
  [BULK_DELETE, 'Never', 'it deletes sessions of a list, of which each would need a grant: delete one at a time'],
  ['sessions.pruneOld', 'Never', 'it deletes sessions that it does not name, loaded ones among them'],
  ['sessionFs.setProvider', 'Never', 'it puts sessions where no guard sees them'],
];

const CLASSES: ReadonlyMap<string, MethodClass> = new Map(GUARDED_METHODS.map(([method, kind]) => [method, kind]));

/** Namespaces in which a call without a session would concern sessions that it does not name. */
const OF_SESSIONS = /^(?:session|sessions|host)\./;

/** What a call is. The session that operators use to find out whether a server can write is nobody's, and needs no grant. */
export function classify(method: string, sessionId: string | undefined): CallClass {
  const known = CLASSES.get(method);
  if (known === 'Read' || known === 'Never') return known;
  if (sessionId === WRITE_CHECK_ID) return 'Pass';
  if (sessionId !== undefined) return known ?? 'Other';
  return OF_SESSIONS.test(method) ? 'Never' : 'Pass';
}

/** Whether a {@link BULK_DELETE} of these ids is the question whether the server can write, which deletes nothing. */
export function isWriteCheck(sessionIds: unknown): boolean {
  return Array.isArray(sessionIds) && sessionIds.length === 1 && sessionIds[0] === WRITE_CHECK_ID;
}
