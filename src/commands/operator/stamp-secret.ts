/** Keeps the Secret with the keys that sign whose a session is: without one, no client of a tenant with Shared isolation is served. */
import type { Logger } from 'pino';
import { STAMP_SECRET } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { Runnable } from '../../kube/runtime/manager.ts';
import { Secret } from '../../kube/types/builtins.ts';
import { toError } from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { hasPresentKey, newStampKey, newStampSecret } from '../../resources/stamp-secret.ts';

export interface StampSecretOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'patch'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The operator's own, where the gateway is, too. */
  readonly namespace: string;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
}

/** So long a rotation may take to become complete. */
const LOOK_EVERY_MS = 60_000;

/** Runs on the leader. It never replaces a key: whatever it signed would be nobody's. */
export function stampSecret(options: StampSecretOptions): Runnable {
  return {
    name: 'stamp keys',
    run: async (stop) => {
      while (!stop.aborted) {
        await ensure(options, stop);
        await options.clock.sleep(LOOK_EVERY_MS, stop).catch((error: unknown) => {
          if (!stop.aborted) throw error;
        });
      }
    },
  };
}

async function ensure(options: StampSecretOptions, signal: AbortSignal): Promise<void> {
  const { log, namespace } = options;
  try {
    const done = await write(options, signal);
    if (done !== undefined) log.info({ secret: STAMP_SECRET, namespace }, done);
  } catch (error) {
    if (signal.aborted) return;
    log.warn(
      { secret: STAMP_SECRET, namespace, error: toError(error).message },
      'the Secret that signs whose a session is could not be written; it is tried again within a minute',
    );
  }
}

/** Returns what was done. */
async function write(
  { client, namespace, randomBytes }: StampSecretOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  const ref = { namespace, name: STAMP_SECRET };
  const found = await ignoreNotFound(client.get(Secret, ref, { managedFields: false, signal }));
  if (found === undefined) {
    await client.create(Secret, newStampSecret(namespace, randomBytes), { signal });
    return 'the Secret that signs whose a session is was created';
  }
  if (hasPresentKey(found)) return undefined;
  const { resourceVersion } = found.metadata;
  // Only if nobody has written it meanwhile: a key that signed something must not be lost.
  const body = { metadata: { resourceVersion }, data: newStampKey(randomBytes) };
  await client.patch(Secret, ref, body, { contentType: 'application/merge-patch+json', signal });
  return 'the Secret that signs whose a session is has a new key';
}
