/** Whether the volume of a server that does not answer keeps a copy of a session that is on another server too. */
import type { Located, ServerView } from '../model.ts';

/**
 * The server where the session was last seen, when it does not answer, its volume exists, and another server has data under the id: a
 * client has created the session anew, because it could not find it. Undefined when there is one copy at most, as far as is known.
 */
export function keptCopy(
  servers: readonly ServerView[],
  copies: readonly Located[],
  lastServer: string | undefined,
  hasVolume: (server: ServerView) => boolean,
): ServerView | undefined {
  if (copies.length === 0 || copies.some(({ server }) => server.name === lastServer)) return undefined;
  const last = servers.find(({ name }) => name === lastServer);
  return last !== undefined && last.answer === undefined && hasVolume(last) ? last : undefined;
}
