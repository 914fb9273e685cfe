/** What sessions a server has, and when each was used last, without what is said in them. */
import { isObject } from '../../../copilot/index.ts';
import { modifiedTimeOf } from './merge.ts';
import { sessionIdOf } from '../model.ts';
import type { Upstream } from '../server/upstream.ts';

/** By id. @throws CopilotError if the server refuses it or does not answer */
export async function listedTimes(server: Pick<Upstream, 'call'>): Promise<Map<string, string>> {
  // Without the limit the server reads the summary of each.
  const result = await server.call('sessions.list', { source: 'local', metadataLimit: 0 });
  const sessions = isObject(result) && Array.isArray(result['sessions']) ? (result['sessions'] as unknown[]) : [];
  const times = new Map<string, string>();
  for (const session of sessions) {
    const id = isObject(session) ? sessionIdOf(session) : undefined;
    if (id !== undefined) times.set(id, modifiedTimeOf(session));
  }
  return times;
}
