import { call, objectOf, sessionIdOf, timeOf, unexpected } from './answer.ts';
import type { CallOptions, Requester } from './client.ts';
import { RpcError } from './errors.ts';
import type { SessionTimes } from './session-calls.ts';
import type { SessionActivity } from './session.ts';

/** What is asked of a session that is about to be deleted, and of its server's clock. */

const NO_PARAMS = {};
const SESSION_NOT_FOUND = /^Session not found\b/;

/** `ping`: the time by the server's clock, in ms since the epoch. It is the clock that wrote the times of its sessions. */
export async function getServerTime(server: Requester, options: CallOptions): Promise<number> {
  const { timestamp } = await call(server, 'ping', NO_PARAMS, options);
  return Date.parse(timeOf(server, 'ping', 'timestamp', timestamp));
}

/** `sessions.getMetadata`: what `sessions.list` says of one session; undefined when it is not there. It loads nothing. */
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

/**
 * `session.metadata.activity`: whether a session is loaded, and whether a turn runs. The journal does not tell: a session that was
 * loaded again writes nothing before its next turn. The question counts as use of a loaded session, so it is asked only
 * before a deletion.
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
    if (error instanceof RpcError && SESSION_NOT_FOUND.test(error.said)) return 'Unloaded';
    throw error;
  }
}
