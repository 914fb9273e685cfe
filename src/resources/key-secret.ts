/** The Secrets with keys that operator and gateway share: the operator writes them, the gateway reads them. */
import { createHash } from 'node:crypto';
import { FIELD_MANAGER, GRANT_SECRET, Label, PEERS_SECRET, STAMP_SECRET } from '../api/names.ts';
import type { Secret } from '../kube/types/builtins.ts';
import type { NamedKey } from '../kube/types/keys.ts';

/** One such Secret. */
export interface KeySecret {
  readonly name: string;
  /** What its keys do: ends the sentence "the Secret that ...". */
  readonly what: string;
  /** Who can't do without it, for the log. */
  readonly neededBy: string;
}

/** Keys that sign whose a session is. */
export const STAMP_KEYS: KeySecret = {
  name: STAMP_SECRET,
  what: 'signs whose a session is',
  neededBy: 'tenants with isolation Shared',
};

/** Keys by which the operator and replicas of the gateway know each other. */
export const PEER_KEYS: KeySecret = {
  name: PEERS_SECRET,
  what: 'lets the operator and replicas of the gateway know each other',
  neededBy: 'the operator, the gateway and its replicas that start',
};

/** Seeds of the keys that sign grants (session-grant.ts). Only their public halves leave the namespace of the operator. */
export const GRANT_KEYS: KeySecret = {
  name: GRANT_SECRET,
  what: 'signs which server may write a session',
  neededBy: 'tenants with topology SharedStorage',
};

/** Keys in the Secret's data: the present one, and the one before while it is rotated. */
const PRESENT = 'key';
const PREVIOUS = 'previousKey';
const KEY_BYTES = 32;
/** Characters of an id: enough to tell two keys apart, and nothing of a key follows from it. */
const ID_LENGTH = 12;

/** The keys in the Secret, the present one first. A malformed one is none. */
export function keysIn({ name }: KeySecret, { data = {} }: Pick<Secret, 'data'>): NamedKey[] {
  return [PRESENT, PREVIOUS].flatMap((entry) => {
    const key = Buffer.from(data[entry] ?? '', 'base64');
    return key.length === KEY_BYTES ? [{ id: idOf(name, key), key }] : [];
  });
}

/** Whether the Secret has a present key; without one the operator adds it. */
export function hasPresentKey({ data = {} }: Pick<Secret, 'data'>): boolean {
  return Buffer.from(data[PRESENT] ?? '', 'base64').length === KEY_BYTES;
}

/** The Secret with a new key. `randomBytes` must be cryptographically secure. */
export function newKeySecret({ name }: KeySecret, namespace: string, randomBytes: (size: number) => Buffer): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, labels: { [Label.managedBy]: FIELD_MANAGER, [Label.partOf]: FIELD_MANAGER } },
    type: 'Opaque',
    data: newKey(randomBytes),
  };
}

/** The data of a new key. */
export function newKey(randomBytes: (size: number) => Buffer): Record<string, string> {
  return { [PRESENT]: randomBytes(KEY_BYTES).toString('base64') };
}

/** Stamps refer to their key by it, so it must stay as it is. */
function idOf(secret: string, key: Buffer): string {
  return createHash('sha256').update(`${secret} key id`).update(key).digest('base64url').slice(0, ID_LENGTH);
}
