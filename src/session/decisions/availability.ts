/** Whether the state of a session can be observed now, and if not, why. */
import { SessionReadyReason } from '../../api/session-conditions.ts';
import { isAsleep, isSharedStorage, type CopilotTenant } from '../../resources/tenant.ts';
import { LIST_SESSIONS, limited } from './limitations.ts';
import type { Located, ServerView, Unavailable } from '../model.ts';

export interface AvailabilityInput {
  readonly tenant: CopilotTenant;
  readonly servers: readonly ServerView[];
  readonly located: Located | undefined;
  /** Name of the server where the session was last seen. */
  readonly lastServer: string | undefined;
}

/**
 * Why the session's server does not answer, or before its first turn why no server does; undefined when the session can be
 * observed.
 */
export function unavailability({ tenant, servers, located, lastServer }: AvailabilityInput): Unavailable | undefined {
  const { name } = tenant.metadata;
  if (tenant.spec.suspend) {
    return {
      reason: SessionReadyReason.TenantSuspended,
      message: `CopilotTenant ${name} is suspended; its sessions stay on the volumes.`,
      transient: false,
    };
  }
  if (isAsleep(tenant)) {
    return {
      reason: SessionReadyReason.TenantHibernated,
      message: `CopilotTenant ${name} sleeps; its sessions stay on the volumes, and a call of a client wakes it.`,
      transient: false,
    };
  }
  if (located !== undefined) return undefined;
  // Any server of a shared volume has it.
  const last = isSharedStorage(tenant) ? undefined : servers.find((server) => server.name === lastServer);
  if (last !== undefined) {
    if (last.answer !== undefined) return undefined;
    return (last.surplus ? undefined : limited(last, LIST_SESSIONS)) ?? serverUnavailable(tenant, last);
  }
  if (servers.some(({ answer }) => answer !== undefined)) return undefined;
  if (tenant.spec.replicas === 0)
    return unavailable(`CopilotTenant ${name} has no servers: spec.replicas is 0.`, false);
  const [limitation] = servers.flatMap((server) => limited(server, LIST_SESSIONS) ?? []);
  return limitation ?? unavailable(`No server of CopilotTenant ${name} answers; see its conditions.`, true);
}

function serverUnavailable({ spec, metadata }: CopilotTenant, { name, surplus }: ServerView): Unavailable {
  if (!surplus) {
    return unavailable(
      `Server ${name}, which holds the session, does not answer; see the conditions of CopilotTenant ${metadata.name}.`,
      true,
    );
  }
  const { reclaimPolicy } = spec.storage;
  return unavailable(
    reclaimPolicy === 'Retain'
      ? `Server ${name}, which holds the session, was scaled down and its volume retained. Increase spec.replicas of CopilotTenant ${metadata.name} to use the session.`
      : `Server ${name}, which held the session, was scaled down, and its volume is deleted: spec.storage.reclaimPolicy of CopilotTenant ${metadata.name} is Delete.`,
    false,
  );
}

function unavailable(message: string, transient: boolean): Unavailable {
  return { reason: SessionReadyReason.TenantUnavailable, message, transient };
}
