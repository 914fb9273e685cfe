import { SessionReadyReason } from '../../api/session-conditions.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { Located, ServerView, Unavailable } from '../model.ts';

export interface AvailabilityInput {
  readonly tenant: CopilotTenant;
  readonly servers: readonly ServerView[];
  readonly located: Located | undefined;
  /** Name of the server where the session was last seen. */
  readonly lastServer: string | undefined;
}

/** Why the session's server, or before its first turn every server, can't be asked; undefined when one can. */
export function unavailability({ tenant, servers, located, lastServer }: AvailabilityInput): Unavailable | undefined {
  const { name } = tenant.metadata;
  if (tenant.spec.suspend) {
    return {
      reason: SessionReadyReason.TenantSuspended,
      message: `CopilotTenant ${name} is suspended: its sessions wait on the volume.`,
      transient: false,
    };
  }
  if (located !== undefined) return undefined;
  const last = servers.find((server) => server.name === lastServer);
  if (last !== undefined) return last.answer === undefined ? unreachableServer(tenant, last) : undefined;
  if (servers.some(({ answer }) => answer !== undefined)) return undefined;
  return tenant.spec.replicas === 0
    ? unavailable(`CopilotTenant ${name} has no server: its spec.replicas is 0.`, false)
    : unavailable(`No server of CopilotTenant ${name} answers; see its conditions.`, true);
}

function unreachableServer({ spec, metadata }: CopilotTenant, { name, surplus }: ServerView): Unavailable {
  if (!surplus) {
    return unavailable(
      `Server ${name}, which holds the session, does not answer; see the conditions of CopilotTenant ${metadata.name}.`,
      true,
    );
  }
  const { reclaimPolicy } = spec.storage;
  return unavailable(
    reclaimPolicy === 'Retain'
      ? `Server ${name}, which holds the session, was scaled away and its volume kept: raise spec.replicas of CopilotTenant ${metadata.name} to use the session.`
      : `Server ${name}, which held the session, was scaled away, and by spec.storage.reclaimPolicy of CopilotTenant ${metadata.name} its volume goes with it.`,
    false,
  );
}

function unavailable(message: string, transient: boolean): Unavailable {
  return { reason: SessionReadyReason.TenantUnavailable, message, transient };
}
