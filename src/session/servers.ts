/** The servers of a session's tenant, and which of them has the session. */
import type { ServerSessions, SessionSource } from '../servers/survey/sessions.ts';
import type { PersistentVolumeClaim } from '../kube/types/builtins.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { fromKey, keyOf } from '../kube/types/types.ts';
import { serverIndex, serverName } from '../resources/names.ts';
import { isStopped, type CopilotTenant } from '../resources/tenant.ts';
import type { Located, ServerRunState, ServerView } from './model.ts';

/** The servers of the tenant, by index, including `lastServer`, where the session was last seen, even when it was scaled down. */
export function serversOf(
  tenant: CopilotTenant,
  source: Pick<SessionSource, 'get' | 'limitations'>,
  lastServer: string | undefined,
): ServerView[] {
  const { name, namespace = '' } = tenant.metadata;
  const indexes = new Set(Array.from({ length: tenant.spec.replicas }, (_, index) => index));
  for (const server of [...(tenant.status?.servers ?? []).map((status) => status.name), lastServer]) {
    const index = serverIndex(name, server ?? '');
    if (index !== undefined) indexes.add(index);
  }
  return [...indexes]
    .toSorted((a, b) => a - b)
    .map((index) => {
      const server = serverName(name, index);
      const key = keyOf({ namespace, name: server });
      const surplus = index >= tenant.spec.replicas;
      return {
        index,
        name: server,
        key,
        runState: runStateOf(tenant, index),
        surplus,
        answer: source.get(key),
        limitations: source.limitations(key),
      };
    });
}

function runStateOf(tenant: CopilotTenant, index: number): ServerRunState {
  const { spec, status, metadata } = tenant;
  const isRunning = !isStopped(tenant);
  if (isRunning && index < spec.replicas) {
    // Its container exits or can't be created, so the server will never answer; a Job can still reach the volume.
    const state = status?.servers?.find(({ name }) => name === serverName(metadata.name, index))?.state;
    return state === 'Failed' ? 'Stopped' : 'Expected';
  }
  const desired = isRunning ? spec.replicas : 0;
  const observed = status?.observedGeneration === metadata.generation;
  return observed && (status?.replicas ?? 0) <= desired ? 'Stopped' : 'Stopping';
}

/**
 * Where the session's data is, by the answers of all servers. Answers that are not newer than `after` are from before the operator
 * itself deleted the session, and are ignored; unless that is yet to come, at `now`: then the clock was set back since.
 */
export function copiesOf(
  servers: readonly ServerView[],
  sessionId: string,
  after = -Infinity,
  now = Infinity,
): Located[] {
  const isBefore = ({ at }: ServerSessions): boolean => at <= after && after <= now;
  return servers.flatMap((server): Located[] => {
    const facts =
      server.answer === undefined || isBefore(server.answer) ? undefined : server.answer.sessions.get(sessionId);
    return facts === undefined ? [] : [{ server, facts }];
  });
}

/** Whether the volume of a server exists and is not being deleted. */
export function hasVolume(claims: ReadonlyStore<PersistentVolumeClaim>, { key }: ServerView): boolean {
  const claim = claims.get(fromKey(key));
  return claim !== undefined && claim.metadata.deletionTimestamp === undefined;
}

/** The copy to report: that on `lastServer`, else the one that was used last. */
export function locate(copies: readonly Located[], lastServer: string | undefined): Located | undefined {
  return (
    copies.find(({ server }) => server.name === lastServer) ??
    copies.toSorted((a, b) => b.facts.lastActivityTime - a.facts.lastActivityTime)[0]
  );
}

/**
 * The servers on which the data of a deleted session is removed: the one that has it, else the one where it was last seen, else, for a
 * session that was never seen, all: it may have started since their last poll.
 */
export function removalTargets(
  servers: readonly ServerView[],
  [copy]: readonly Located[],
  lastServer: string | undefined,
): readonly ServerView[] {
  if (copy !== undefined) return [copy.server];
  const last = servers.find(({ name }) => name === lastServer);
  return last === undefined ? servers : [last];
}
