/** Whether a session is still not used, by what its server says now. */
import { getActivity, getServerTime, getSessionTimes, type CallOptions, type Requester } from '../../copilot/index.ts';
import type { Disuse } from './sessions.ts';

/** `now`: this process's wall clock, ms. */
export async function useOf(
  server: Requester,
  sessionId: string,
  { modifiedTime, expiresAt, isUnloaded = false }: Disuse,
  now: number,
  options: CallOptions,
): Promise<'Unused' | 'InUse' | 'NotFound'> {
  const times = await getSessionTimes(server, sessionId, options);
  if (times === undefined) return 'NotFound';
  if (Date.parse(times.modifiedTime) !== modifiedTime) return 'InUse';
  // By the clock that is behind: by the other one, a turn that has just ended could seem older than a short ttl.
  if (Math.min(now, await getServerTime(server, options)) < expiresAt) return 'InUse';
  // Last, because this resets the idle clock of a loaded session.
  const activity = await getActivity(server, sessionId, options);
  return activity === 'Active' || (isUnloaded && activity !== 'Unloaded') ? 'InUse' : 'Unused';
}
