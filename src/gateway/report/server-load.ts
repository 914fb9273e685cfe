/** How much each server has to do, for who scales a tenant by it. */
import { fromKey } from '../../kube/types/types.ts';
import type { ServerSummary, SessionSummary } from '../model.ts';

/** Of one server, as its home knows it. */
export interface LoadOfServer {
  readonly labels: { readonly tenant_namespace: string; readonly tenant: string; readonly server: string };
  /** Turns that run, and prompts of other sessions that wait for one. */
  readonly turns: number;
  /** Sessions that clients use, and that the server has in memory. */
  readonly sessions: number;
}

/** Of every server that this replica is the home of, also of those that do nothing. */
export function loadOfServers(
  servers: readonly Pick<ServerSummary, 'tenant' | 'server'>[],
  sessions: readonly Pick<SessionSummary, 'tenant' | 'server' | 'state'>[],
): LoadOfServer[] {
  const loads = new Map<string, { turns: number; sessions: number; readonly labels: LoadOfServer['labels'] }>();
  const loadOf = ({ tenant, server }: Pick<ServerSummary, 'tenant' | 'server'>) => {
    const { namespace, name } = tenant;
    const known = loads.get(server);
    const labels = { tenant_namespace: namespace, tenant: name, server: fromKey(server).name };
    const load = known ?? { turns: 0, sessions: 0, labels };
    if (known === undefined) loads.set(server, load);
    return load;
  };
  for (const server of servers) if (server.server !== '') loadOf(server);
  for (const session of sessions) {
    if (session.server === '') continue;
    const load = loadOf(session);
    if (session.state !== 'Unloaded') load.sessions += 1;
    // One that waits for its clients has a turn, too.
    if (session.state === 'Running' || session.state === 'Waiting') load.turns += 1;
  }
  return [...loads.values()];
}
