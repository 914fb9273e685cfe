/** Rendezvous hashing: which replica is to be the home of a tenant, so that all who know the same replicas find the same one. */
import { createHash } from 'node:crypto';

/** Of two replicas, the one that outranks the other for the tenant. */
export function outranks(tenant: string, id: string, other: string): boolean {
  const [weight, otherWeight] = [weightOf(tenant, id), weightOf(tenant, other)];
  return weight === otherWeight ? id > other : weight > otherWeight;
}

/** The one that outranks all others. When a replica comes or goes, only its own tenants change. */
export function highestOf(tenant: string, ids: readonly [string, ...string[]]): string {
  return ids.reduce((best, id) => (outranks(tenant, id, best) ? id : best));
}

function weightOf(tenant: string, id: string): string {
  return createHash('sha256').update(tenant).update('\0').update(id).digest('hex');
}
