/** What the internal port shows of clients and sessions: who, since when, in which state and how much. No secret, and nothing of what they say. */
import { timestamp } from '../../kube/types/time.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { DrainLine, TenantCount, TenantsAnswer } from '../../resources/gateway-internal.ts';
import type { ClientSummary } from '../client/model.ts';
import type { DrainProgress, SessionSummary, TenantUses } from '../model.ts';

/** How many clients each tenant has, in the order of their first connection. Only those that are admitted. */
export function tenantCounts(clients: readonly ClientSummary[]): TenantCount[] {
  const counts = new Map<string, TenantCount>();
  for (const { identity } of clients) {
    if (identity === undefined) continue;
    const { namespace, name } = identity.tenant;
    const key = keyOf(identity.tenant);
    counts.set(key, { namespace, name, clients: (counts.get(key)?.clients ?? 0) + 1 });
  }
  return [...counts.values()];
}

/** The tenants that have clients here, and those that were used here. A client that is only connected is no use. */
export function tenantsView(
  clients: readonly ClientSummary[],
  { upMs, idle, heldTurns, places }: TenantUses,
): TenantsAnswer {
  const counted = tenantCounts(clients).map((tenant) => [keyOf(tenant), { ...tenant, idleMs: upMs }] as const);
  const counts = new Map<string, TenantCount>(counted);
  for (const { namespace, name, idleMs } of idle) {
    const key = keyOf({ namespace, name });
    counts.set(key, { namespace, name, clients: counts.get(key)?.clients ?? 0, idleMs });
  }
  return {
    tenants: [...counts.values()],
    upMs,
    ...(heldTurns.length > 0 && { heldTurns }),
    ...(places.length > 0 && { places }),
  };
}

/** One client. Fields that are not known are missing. */
export function clientView(client: ClientSummary): object {
  const { identity, since, ...rest } = client;
  return {
    ...rest,
    ...(identity && {
      tenant: keyOf(identity.tenant),
      user: identity.user,
      credential: identity.credential,
      ...(identity.expiresAt !== undefined && { expiresAt: timestamp(identity.expiresAt) }),
    }),
    since: timestamp(since),
  };
}

/** One session. */
export function sessionView({ tenant, since, ...rest }: SessionSummary): object {
  return { tenant: keyOf(tenant), since: timestamp(since), ...rest };
}

/** One drain. */
export function drainLine({ server, epoch, turns, isDrained }: DrainProgress): DrainLine {
  return { server, epoch, turns, drained: isDrained };
}
