/**
 * The server's methods about sessions. Those called `sessions.…` neither load a session nor keep one loaded; those called
 * `session.…` reset the idle clock of a loaded session, so they are called only for an operation on that session.
 */
import { call, integerOf, objectOf, sessionIdOf, timeOf, unexpected } from './answer.ts';
import { isSessionId } from './session-id.ts';
import type { CallOptions, Requester } from './client.ts';
import { RefusedError, RpcError, quote } from './errors.ts';
import type { Deletion, SessionActivity } from './session.ts';

/** A session on the server's disk, without its name and summary, which are the user's own text. */
export interface SessionTimes {
  readonly sessionId: string;
  /** RFC 3339. */
  readonly startTime: string;
  /** RFC 3339; the time of the last turn, as the server takes it from the session's file. */
  readonly modifiedTime: string;
}

/** Strings that clients have stored beside a session's data. */
export type ClientMetadata = Readonly<Record<string, string>>;

const NO_PARAMS = {};
// Without the limit the server reads every session's summary: 748 ms for 3,000 sessions, with it 128 ms.
const IDS_AND_TIMES = { source: 'local', metadataLimit: 0 };
/** The most sessions that one `sessions.getClientMetadata` takes. */
const METADATA_BATCH = 1000;
const SESSION_NOT_FOUND = /^Session not found\b/;
const FILE_NOT_FOUND = /^Session file not found\b/;

/** `sessions.list`: the sessions on the server's disk, loaded or not. Entries whose name is no session id are left out. */
export async function listSessions(server: Requester, options: CallOptions): Promise<SessionTimes[]> {
  const method = 'sessions.list';
  const { sessions } = await call(server, method, IDS_AND_TIMES, options);
  if (!Array.isArray(sessions)) throw unexpected(server, method, 'sessions', sessions);
  return sessions.flatMap((session: unknown) => {
    const { sessionId, startTime, modifiedTime } = objectOf(server, method, 'sessions[]', session);
    if (typeof sessionId === 'string' && !isSessionId(sessionId)) return [];
    return {
      sessionId: sessionIdOf(server, method, 'sessionId', sessionId),
      startTime: timeOf(server, method, 'startTime', startTime),
      modifiedTime: timeOf(server, method, 'modifiedTime', modifiedTime),
    };
  });
}

/** `sessions.getMetadata`: one entry of `sessions.list`; undefined if there is no such session. It loads nothing. */
export async function getSessionTimes(
  server: Requester,
  sessionId: string,
  options: CallOptions,
): Promise<SessionTimes | undefined> {
  const method = 'sessions.getMetadata';
  const { session } = await call(server, method, { sessionId }, options);
  if (session === undefined || session === null) return undefined;
  const found = objectOf(server, method, 'session', session);
  if (found['sessionId'] !== sessionId) throw unexpected(server, method, 'sessionId', found['sessionId']);
  return {
    sessionId: sessionIdOf(server, method, 'sessionId', found['sessionId']),
    startTime: timeOf(server, method, 'startTime', found['startTime']),
    modifiedTime: timeOf(server, method, 'modifiedTime', found['modifiedTime']),
  };
}

/** `sessions.getSizes`: bytes on disk by session id. */
export async function getSessionSizes(server: Requester, options: CallOptions): Promise<Map<string, number>> {
  const method = 'sessions.getSizes';
  const result = await call(server, method, NO_PARAMS, options);
  const sizes = objectOf(server, method, 'sizes', result['sizes']);
  return new Map(
    Object.entries(sizes)
      .filter(([id]) => isSessionId(id))
      .map(([id, bytes]) => [id, integerOf(server, method, 'sizes', bytes)]),
  );
}

/**
 * `sessions.getClientMetadata`: the strings stored under `keys` beside each session's data, loaded or not, in one call for
 * each thousand sessions. A session that the server does not know, or whose metadata it can't read, is absent.
 */
export async function getClientMetadata(
  server: Requester,
  sessionIds: readonly string[],
  keys: readonly string[],
  options: CallOptions,
): Promise<Map<string, ClientMetadata>> {
  const method = 'sessions.getClientMetadata';
  const found = new Map<string, ClientMetadata>();
  for (let from = 0; from < sessionIds.length; from += METADATA_BATCH) {
    const batch = sessionIds.slice(from, from + METADATA_BATCH);
    const entries = await server.request(method, { sessionIds: batch, keys }, options);
    if (!Array.isArray(entries)) throw unexpected(server, method, 'result', entries);
    for (const entry of entries as unknown[]) {
      const { sessionId, status, metadata } = objectOf(server, method, 'result[]', entry);
      const id = sessionIdOf(server, method, 'sessionId', sessionId);
      if (status === 'ok') found.set(id, pick(keys, objectOf(server, method, 'metadata', metadata)));
    }
  }
  return found;
}

/**
 * `session.metadata.updateClientMetadata`: adds or replaces strings beside a session's data. Resolves to false if the
 * session is not loaded, because only a loaded one can be written to.
 */
export async function updateClientMetadata(
  server: Requester,
  sessionId: string,
  set: ClientMetadata,
  options: CallOptions,
): Promise<boolean> {
  try {
    await callAbout(server, 'session.metadata.updateClientMetadata', { sessionId, set }, options);
    return true;
  } catch (error) {
    if (error instanceof RpcError && SESSION_NOT_FOUND.test(error.serverMessage)) return false;
    throw error;
  }
}

/**
 * `session.metadata.activity`: whether a session is loaded, and whether a turn runs. The journal does not show it, because a session
 * that was loaded again writes nothing before its next turn. The call resets the idle clock of a loaded session, so it is made
 * only before a deletion.
 */
export async function getActivity(
  server: Requester,
  sessionId: string,
  options: CallOptions,
): Promise<SessionActivity> {
  const method = 'session.metadata.activity';
  try {
    const { hasActiveWork } = await call(server, method, { sessionId }, options);
    if (typeof hasActiveWork !== 'boolean') throw unexpected(server, method, 'hasActiveWork', hasActiveWork);
    return hasActiveWork ? 'Active' : 'Loaded';
  } catch (error) {
    if (error instanceof RpcError && SESSION_NOT_FOUND.test(error.serverMessage)) return 'Unloaded';
    throw error;
  }
}

/** `sessions.close`: ends a running turn and unloads the session. It succeeds too if the session is not loaded or does not exist. */
export async function closeSession(server: Requester, sessionId: string, options: CallOptions): Promise<void> {
  await callAbout(server, 'sessions.close', { sessionId }, options);
}

/**
 * `session.delete`: deletes a session's directory, even if it is loaded or a turn runs.
 * @throws RefusedError if the server did not delete an existing session.
 */
export async function deleteSession(server: Requester, sessionId: string, options: CallOptions): Promise<Deletion> {
  const method = 'session.delete';
  const { success, error } = await callAbout(server, method, { sessionId }, options);
  if (success === true) return 'Deleted';
  if (success !== false) throw unexpected(server, method, 'success', success);
  if (typeof error === 'string' && FILE_NOT_FOUND.test(error)) return 'NotFound';
  const reason = typeof error === 'string' ? quote(error) : 'no reason given';
  throw new RefusedError(`${server.address}: the server did not delete session ${sessionId}: ${reason}`);
}

/** As `call`, for an operation on one session, which an error then names. */
async function callAbout(
  server: Requester,
  method: string,
  params: { readonly sessionId: string; readonly [key: string]: unknown },
  options: CallOptions,
): Promise<Record<string, unknown>> {
  try {
    return await call(server, method, params, options);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    throw new RpcError(`${error.message} (session ${params.sessionId})`, error.code, error.serverMessage, {
      cause: error,
    });
  }
}

/** The strings under `keys` only: other keys are the applications' own, and may hold text of their users. */
function pick(keys: readonly string[], metadata: Record<string, unknown>): ClientMetadata {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
      return typeof value === 'string' ? [[key, value]] : [];
    }),
  );
}
