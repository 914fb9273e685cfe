/**
 * Rendezvous hashing: which replica is to be the home of a tenant, so that all who know the same replicas find the same one; and which server
 * a user of a tenant has (../relay/tenant/placement.ts).
 */
import { createHash } from 'node:crypto';

/** Of two replicas, the one that outranks the other for the tenant, or whatever else `key` is. */
export function outranks(key: string, id: string, other: string): boolean {
  const [weight, otherWeight] = [weightOf(key, id), weightOf(key, other)];
  return weight === otherWeight ? id > other : weight > otherWeight;
}

/** The one that outranks all others. When a replica comes or goes, only its own tenants change. */
export function highestOf(key: string, ids: readonly [string, ...string[]]): string {
  return ids.reduce((best, id) => (outranks(key, id, best) ? id : best));
}

function weightOf(key: string, id: string): string {
  return createHash('sha256').update(key).update('\0').update(id).digest('hex');
}
