/** The names of keys in Redis. What is done in one step must be of one hash slot in a cluster, so all of a tenant is. */
import { createHash } from 'node:crypto';

/** The beginning of all keys, for the rule of an ACL user. */
export const KEY_PREFIX = 'copilot-gateway:';

/** Written now and then, to see whether writes are taken. */
export const PROBE_KEY = `${KEY_PREFIX}probe`;

/** The keys of one tenant: the part in braces decides the slot, and has neither braces nor anything else of the tenant's id. */
export function keysOf(tenant: string): { readonly records: string; readonly epochs: string; readonly lock: string } {
  const slot = `${KEY_PREFIX}{${createHash('sha256').update(JSON.stringify(tenant)).digest('hex')}}`;
  return { records: `${slot}:records`, epochs: `${slot}:epochs`, lock: `${slot}:lock:` };
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
