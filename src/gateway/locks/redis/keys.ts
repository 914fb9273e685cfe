/** The names of keys in Redis. What is done in one step must be of one hash slot in a cluster, so all of a tenant is. */
import { createHash } from 'node:crypto';

/** The beginning of all keys, for the rule of an ACL user. */
export const KEY_PREFIX = 'copilot-gateway:';

/** Written now and then, to see whether writes are taken. */
export const PROBE_KEY = `${KEY_PREFIX}probe`;

/** The keys of one tenant. */
export interface TenantKeys {
  readonly records: string;
  readonly epochs: string;
}

/** Tenants whose keys are remembered, because to compute them takes a good part of an operation. */
const MAX_KNOWN = 1_000;
const known = new Map<string, TenantKeys>();

/** The part in braces decides the slot, and has neither braces nor anything else of the tenant's id. */
export function keysOf(tenant: string): TenantKeys {
  let keys = known.get(tenant);
  if (keys !== undefined) return keys;
  const slot = `${KEY_PREFIX}{${createHash('sha256').update(JSON.stringify(tenant)).digest('hex')}}`;
  keys = { records: `${slot}:records`, epochs: `${slot}:epochs` };
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(tenant, keys);
  return keys;
}

/** An id as JSON: two ids that differ differ in it, also where they are no valid Unicode. */
export function fieldOf(session: string): string {
  return JSON.stringify(session);
}

/** Undefined for a text that is no field. */
export function sessionOf(field: string): string | undefined {
  try {
    const session: unknown = JSON.parse(field);
    return typeof session === 'string' ? session : undefined;
  } catch {
    // Somebody else wrote it: the caller reports that.
    return undefined;
  }
}
