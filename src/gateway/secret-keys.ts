/** The keys of a Secret, which is read again and again: one may be rotated. */
import type { Logger } from 'pino';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { Secret } from '../kube/types/builtins.ts';
import { toError } from '../kube/types/errors.ts';
import type { Keys, NamedKey } from '../kube/types/keys.ts';
import { keysIn, type KeySecret } from '../resources/key-secret.ts';

export interface SecretKeysOptions {
  readonly secret: KeySecret;
  readonly client: Pick<KubeClient, 'get'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Pick<Logger, 'warn'>;
  /** Where the Secret is: the gateway's own namespace. */
  readonly namespace: string;
}

const READ_EVERY_MS = 60_000;
/** While it was never read: until then what needs it does not work. */
const RETRY_MS = 5_000;

/** The last keys that were read are good until others are: they do not expire. */
export class SecretKeys implements Keys {
  readonly #options: SecretKeysOptions;
  #keys: readonly NamedKey[] = [];
  /** What was wrong the last time, which is logged once. */
  #problem = '';

  constructor(options: SecretKeysOptions) {
    this.#options = options;
  }

  get all(): readonly NamedKey[] {
    return this.#keys;
  }

  /** Reads until `stop` aborts. It never rejects. */
  async run(stop: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!stop.aborted) {
      await this.#read(stop);
      await clock.sleep(this.#keys.length === 0 ? RETRY_MS : READ_EVERY_MS, stop).catch((error: unknown) => {
        if (!stop.aborted) throw error;
      });
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { client, namespace, secret } = this.#options;
    try {
      const ref = { namespace, name: secret.name };
      const found = keysIn(secret, await client.get(Secret, ref, { managedFields: false, signal }));
      if (found.length > 0) this.#keys = found;
      this.#report(found.length > 0 ? '' : 'it has no key; the operator adds one');
    } catch (error) {
      if (!signal.aborted) this.#report(toError(error).message);
    }
  }

  #report(problem: string): void {
    const { log, namespace, secret } = this.#options;
    if (problem !== '' && problem !== this.#problem) {
      const what = `the Secret that ${secret.what} cannot be used: ${secret.neededBy} need it`;
      log.warn({ secret: secret.name, namespace, error: problem }, what);
    }
    this.#problem = problem;
  }
}
