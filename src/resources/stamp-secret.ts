/** The Secret with the keys that sign whose a session is: the operator writes it, the gateway reads it. */
import { createHash } from 'node:crypto';
import { FIELD_MANAGER, Label, STAMP_SECRET } from '../api/names.ts';
import type { Secret } from '../kube/types/builtins.ts';

/** One key, and the name by which stamps refer to it. */
export interface StampKey {
  readonly id: string;
  readonly key: Buffer;
}

/** Keys in the Secret's data: the present one, and the one before while it is rotated. */
const PRESENT = 'key';
const PREVIOUS = 'previousKey';
const KEY_BYTES = 32;
/** Characters of an id: enough to tell two keys apart, and nothing of a key follows from it. */
const ID_LENGTH = 12;

/** The keys in a Secret, the one that signs first. A malformed one is none. */
export function stampKeysIn({ data = {} }: Pick<Secret, 'data'>): StampKey[] {
  return [PRESENT, PREVIOUS].flatMap((name) => {
    const key = Buffer.from(data[name] ?? '', 'base64');
    return key.length === KEY_BYTES ? [{ id: idOf(key), key }] : [];
  });
}

/** Whether the Secret has a key that signs; without one the operator adds it. */
export function hasPresentKey({ data = {} }: Pick<Secret, 'data'>): boolean {
  return Buffer.from(data[PRESENT] ?? '', 'base64').length === KEY_BYTES;
}

/** The Secret with a new key. `randomBytes` must be cryptographically secure. */
export function newStampSecret(namespace: string, randomBytes: (size: number) => Buffer): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: STAMP_SECRET,
      namespace,
      labels: { [Label.managedBy]: FIELD_MANAGER, [Label.partOf]: FIELD_MANAGER },
    },
    type: 'Opaque',
    data: newStampKey(randomBytes),
  };
}

/** The data of a new key. */
export function newStampKey(randomBytes: (size: number) => Buffer): Record<string, string> {
  return { [PRESENT]: randomBytes(KEY_BYTES).toString('base64') };
}

function idOf(key: Buffer): string {
  return createHash('sha256')
    .update('copilot-gateway-stamp key id')
    .update(key)
    .digest('base64url')
    .slice(0, ID_LENGTH);
}
