/** Deletes the Lease of a replica that has not renewed it: whoever succeeds knows that it was not renewed until then. */
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client/client.ts';
import { Lease } from '../../kube/types/builtins.ts';
import { isConflict, isNotFound, toError } from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import type { ExpireResult } from './membership.ts';
import type { Effect } from './state.ts';

export interface ExpireOptions {
  readonly client: Pick<KubeClient, 'get' | 'delete'>;
  readonly log: Pick<Logger, 'warn'>;
  readonly namespace: string;
}

/** ms: it is tried again soon. */
const REQUEST_MS = 5_000;

/** It never rejects. */
export async function expireLease(
  { member, seen }: Extract<Effect, { kind: 'Expire' }>,
  { client, log, namespace }: ExpireOptions,
): Promise<ExpireResult> {
  const ref = { namespace, name: member.lease };
  try {
    if (seen === undefined) {
      const found = await ignoreNotFound(client.get(Lease, ref, { deadlineMs: REQUEST_MS }));
      return found?.spec?.holderIdentity === member.id ? 'Changed' : 'Missing';
    }
    const { uid, resourceVersion } = seen;
    await client.delete(Lease, ref, { uid, resourceVersion, deadlineMs: REQUEST_MS });
    return 'Deleted';
  } catch (error) {
    if (isNotFound(error)) return 'Missing';
    if (isConflict(error)) return 'Changed';
    log.warn(
      { peer: member.id, error: toError(error).message },
      'the Lease of a peer that does not answer could not be deleted',
    );
    return 'Failed';
  }
}
