/**
 * Stamps: who owns a session, signed, in the session's client metadata. An agent with a shell can change that metadata, but it cannot
 * sign, and a stamp is good for the one session that it names only (docs/adr/0033-isolation-by-stamps.md).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { GROUP } from '../../api/names.ts';
import type { NamedKey } from '../../kube/types/keys.ts';

/** The key of the client metadata that has the stamp. */
export const STAMP_KEY = `${GROUP}/stamp`;

/** What a stamp is about. The tenant by its name and not by its UID: volumes outlive tenants. */
export interface StampedSession {
  readonly namespace: string;
  readonly tenant: string;
  readonly sessionId: string;
}

/** What a valid stamp says. */
export interface StampedOwner {
  readonly owner: string;
  /** Id of the key that signed it. */
  readonly keyId: string;
}

const VERSION = 'v1';
const NONCE_BYTES = 16;
/** The longest text that is looked at: a user has at most 256 characters. */
const LONGEST = 4096;
/** version, id of the key, nonce, signature, owner; all but the first base64url. */
const STAMP = /^v1\.([\w-]{1,64})\.([\w-]{22})\.([\w-]{43})\.([\w-]+)$/;

/** A new stamp. `randomBytes` must be cryptographically secure. */
export function makeStamp(
  session: StampedSession,
  owner: string,
  { id, key }: NamedKey,
  randomBytes: (size: number) => Buffer,
): string {
  const nonce = randomBytes(NONCE_BYTES).toString('base64url');
  const signature = sign(session, owner, nonce, key).toString('base64url');
  return [VERSION, id, nonce, signature, Buffer.from(owner).toString('base64url')].join('.');
}

/** Whose the session is by its stamp; undefined: nobody's, because there is none, or none that one of these keys signed for it. */
export function readStamp(
  session: StampedSession,
  stamp: unknown,
  keys: readonly NamedKey[],
): StampedOwner | undefined {
  if (typeof stamp !== 'string' || stamp.length > LONGEST) return undefined;
  const [, keyId = '', nonce = '', signature = '', encoded = ''] = STAMP.exec(stamp) ?? [];
  const key = keys.find(({ id }) => id === keyId)?.key;
  if (key === undefined) return undefined;
  const owner = Buffer.from(encoded, 'base64url').toString();
  const expected = sign(session, owner, nonce, key);
  const found = Buffer.from(signature, 'base64url');
  if (found.length !== expected.length || !timingSafeEqual(found, expected)) return undefined;
  return { owner, keyId };
}

/** Over all fields, each with its length before it: no two lists of fields have the same bytes. */
function sign({ namespace, tenant, sessionId }: StampedSession, owner: string, nonce: string, key: Buffer): Buffer {
  const hmac = createHmac('sha256', key);
  for (const field of [VERSION, namespace, tenant, sessionId, owner, nonce]) {
    const bytes = Buffer.from(field);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hmac.update(length).update(bytes);
  }
  return hmac.digest();
}
