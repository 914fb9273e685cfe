/** Keeps the Secrets with the keys that the gateway needs. */
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { Runnable } from '../../kube/runtime/runnables.ts';
import { Secret } from '../../kube/types/builtins.ts';
import { toError } from '../../kube/types/errors.ts';
import type { Keys, NamedKey } from '../../kube/types/keys.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { hasPresentKey, keysIn, newKey, newKeySecret, type KeySecret } from '../../resources/key-secret.ts';

export interface KeySecretsOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'patch'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The operator's own, where the gateway is, too. */
  readonly namespace: string;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
  readonly secrets: readonly KeySecret[];
}

/** So long a rotation may take to become complete. */
const LOOK_EVERY_MS = 60_000;

/** Runs on the leader. It never replaces a key: whatever was done with it would count for nothing. */
export class KeySecrets implements Runnable {
  readonly name = 'key secrets';
  readonly #options: KeySecretsOptions;
  readonly #keys = new Map<KeySecret, readonly NamedKey[]>();
  readonly #looked = Promise.withResolvers<void>();

  constructor(options: KeySecretsOptions) {
    this.#options = options;
  }

  /** The keys in one of the Secrets, as it was when this process last saw it. */
  keysOf(secret: KeySecret): Keys {
    const keys = this.#keys;
    return {
      get all() {
        return keys.get(secret) ?? [];
      },
    };
  }

  /** Resolves when each Secret was looked at once. */
  get looked(): Promise<void> {
    return this.#looked.promise;
  }

  async run(stop: AbortSignal): Promise<void> {
    const { clock, secrets } = this.#options;
    while (!stop.aborted) {
      for (const secret of secrets) await this.#ensure(secret, stop);
      this.#looked.resolve();
      await clock.sleep(LOOK_EVERY_MS, stop).catch((error: unknown) => {
        if (!stop.aborted) throw error;
      });
    }
    this.#looked.resolve();
  }

  async #ensure(secret: KeySecret, signal: AbortSignal): Promise<void> {
    const { log, namespace } = this.#options;
    try {
      const { found, done } = await this.#write(secret, signal);
      this.#keys.set(secret, keysIn(secret, found));
      if (done !== undefined) log.info({ secret: secret.name, namespace }, `the Secret that ${secret.what} ${done}`);
    } catch (error) {
      if (signal.aborted) return;
      log.warn(
        { secret: secret.name, namespace, error: toError(error).message },
        `the Secret that ${secret.what} could not be written; it is tried again within a minute`,
      );
    }
  }

  /** Returns what was done, too. */
  async #write(secret: KeySecret, signal: AbortSignal): Promise<{ readonly found: Secret; readonly done?: string }> {
    const { client, namespace, randomBytes } = this.#options;
    const ref = { namespace, name: secret.name };
    const found = await ignoreNotFound(client.get(Secret, ref, { managedFields: false, signal }));
    if (found === undefined) {
      const created = await client.create(Secret, newKeySecret(secret, namespace, randomBytes), { signal });
      return { found: created, done: 'was created' };
    }
    if (hasPresentKey(found)) return { found };
    const { resourceVersion } = found.metadata;
    // Only if nobody has written it meanwhile: a key that signed something must not be lost.
    const body = { metadata: { resourceVersion }, data: newKey(randomBytes) };
    const patched = await client.patch(Secret, ref, body, { contentType: 'application/merge-patch+json', signal });
    return { found: patched, done: 'has a new key' };
  }
}
