/** The servers of a session's tenant, and which of them has the session. */
import type { ServerSessions, SessionSource } from '../servers/survey/sessions.ts';
import type { PersistentVolumeClaim } from '../kube/types/builtins.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { fromKey, keyOf } from '../kube/types/types.ts';
import { claimName, serverIndex, serverName } from '../resources/names.ts';
import { isSharedStorage, isStopped, type CopilotTenant } from '../resources/tenant.ts';
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
        volume: { claim: claimName(tenant, index), index: isSharedStorage(tenant) ? 0 : index },
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
    // Others run beside it on a volume that they share.
    return state === 'Failed' && !isSharedStorage(tenant) ? 'Stopped' : 'Expected';
  }
  // Of one volume all servers have to be gone.
  const desired = isRunning && !isSharedStorage(tenant) ? spec.replicas : 0;
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
export function hasVolume(claims: ReadonlyStore<PersistentVolumeClaim>, { key, volume }: ServerView): boolean {
  const claim = claims.get({ ...fromKey(key), name: volume.claim });
  return claim !== undefined && claim.metadata.deletionTimestamp === undefined;
}

/**
 * The copies that differ. On a volume that servers share there is one, and each of them lists it: it is reported of the server where it
 * was last seen, else of the one through which the operator works on the volume.
 */
export function distinctCopies(
  tenant: CopilotTenant,
  copies: readonly Located[],
  lastServer: string | undefined,
): readonly Located[] {
  if (!isSharedStorage(tenant) || copies.length < 2) return copies;
  const names = [lastServer, tenant.status?.volumeServer];
  const [first] = names.flatMap((name) => copies.find(({ server }) => server.name === name) ?? []);
  return [first ?? copies[0]].flatMap((copy) => copy ?? []);
}

/**
 * The server that has the session, of those that share a volume: what the gateway says (`held`), else the one that had it last, as long as the
 * tenant has that one. Before it was ever said: any that lists it. It need not answer. Undefined: it is where its data is.
 */
export function placeOf(
  tenant: CopilotTenant,
  servers: readonly ServerView[],
  held: string | undefined,
  lastServer: string | undefined,
): string | undefined {
  if (!isSharedStorage(tenant)) return undefined;
  const isThere = ({ name, surplus, answer }: ServerView): boolean =>
    name === lastServer && (!surplus || answer !== undefined);
  return held ?? servers.find(isThere)?.name;
}

/**
 * The servers that are asked about a session that none has listed: of those that share a volume one is enough, and it should answer.
 */
export function candidatesOf(tenant: CopilotTenant, servers: readonly ServerView[]): readonly ServerView[] {
  const expected = servers.filter(({ surplus }) => !surplus);
  if (!isSharedStorage(tenant)) return expected;
  const answering = expected.filter(({ answer }) => answer !== undefined);
  const chosen = answering.find(({ name }) => name === tenant.status?.volumeServer) ?? answering[0] ?? expected[0];
  return chosen === undefined ? [] : [chosen];
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

/**
 * The one server through which the data of a deleted session is removed from a volume that several share. Only when none of them runs a
 * Job works on the volume; until then one that does not answer is waited for, even if it could not start.
 */
export function sharedRemovalTargets(
  tenant: CopilotTenant,
  servers: readonly ServerView[],
  [copy]: readonly Located[],
): readonly ServerView[] {
  if (copy !== undefined) return [copy.server];
  const [answering] = candidatesOf(tenant, servers).filter(({ answer }) => answer !== undefined);
  const waitedFor = servers.find(({ runState }) => runState !== 'Stopped');
  return [answering ?? waitedFor ?? servers[0]].flatMap((server) => server ?? []);
}
