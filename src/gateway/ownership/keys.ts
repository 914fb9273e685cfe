/** The keys that sign stamps, read from their Secret again and again: one may be rotated. */
import type { Logger } from 'pino';
import { STAMP_SECRET } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { Secret } from '../../kube/types/builtins.ts';
import { toError } from '../../kube/types/errors.ts';
import { stampKeysIn, type StampKey } from '../../resources/stamp-secret.ts';

/** The keys that are known now. */
export interface StampKeys {
  /** Those that verify, the one that signs first; none while the Secret was never read. */
  readonly all: readonly StampKey[];
}

export interface SecretKeysOptions {
  readonly client: Pick<KubeClient, 'get'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Pick<Logger, 'warn'>;
  /** Where the Secret is: the gateway's own namespace. */
  readonly namespace: string;
}

const READ_EVERY_MS = 60_000;
/** While it was never read: no client of a tenant with Shared isolation can work until then. */
const RETRY_MS = 5_000;

/** Keys of the Secret. The last ones that were read are good until others are: a stamp does not expire. */
export class SecretStampKeys implements StampKeys {
  readonly #options: SecretKeysOptions;
  #keys: readonly StampKey[] = [];
  /** What was wrong the last time, which is logged once. */
  #problem = '';

  constructor(options: SecretKeysOptions) {
    this.#options = options;
  }

  get all(): readonly StampKey[] {
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
    const { client, namespace } = this.#options;
    try {
      const found = stampKeysIn(
        await client.get(Secret, { namespace, name: STAMP_SECRET }, { managedFields: false, signal }),
      );
      if (found.length > 0) this.#keys = found;
      this.#report(found.length > 0 ? '' : 'it has no key; the operator adds one');
    } catch (error) {
      if (!signal.aborted) this.#report(toError(error).message);
    }
  }

  #report(problem: string): void {
    const { log, namespace } = this.#options;
    if (problem !== '' && problem !== this.#problem) {
      const what = 'the Secret that signs whose a session is cannot be used: tenants with isolation Shared need it';
      log.warn({ secret: STAMP_SECRET, namespace, error: problem }, what);
    }
    this.#problem = problem;
  }
}
