/** Whether a resource type can be listed and watched at all: what a reflector knows of missing permissions and missing CRDs. */
import type { Logger } from 'pino';
import type { Clock } from '../clock/clock.ts';
import { toError } from '../types/errors.ts';
import type { ResourceType } from '../types/resource.ts';
import type { KubeClient } from '../client/client.ts';

/** The API server has the type, but not in our version: what exists can't be read by this process. */
export class OtherVersionError extends Error {
  override readonly name = 'OtherVersionError';

  constructor({ plural, group, version }: ResourceType, served: readonly string[]) {
    super(
      `The API server serves ${plural}.${group} as ${served.join(', ')} and not as ${version}: install the CRDs of this version of the operator, or the operator that belongs to the CRDs`,
    );
  }
}

/**
 * How long the server must refuse, ms, before it counts: roles and CRDs get recreated, and an API server notices a new one late.
 * Shorter at first, when everything else waits for the list.
 */
const REFUSED_AFTER_MS = { listed: 15_000, atFirst: 3_000 };

/** What is needed to find out why a type is missing. */
export interface AvailabilityOptions {
  client: Pick<KubeClient, 'servedVersions'>;
  type: ResourceType;
  clock: Clock;
  log?: Logger | undefined;
}

/** A refused list or watch. */
export interface Refusal {
  error: Error;
  /** The server answered 404 and not 403. */
  missing: boolean;
  /** Whether a list was complete before. */
  listed: boolean;
}

/** `forbidden`: nothing is known of the objects. `absent`: there is no such type, and so no objects. */
export type RefusalOutcome = 'forbidden' | 'absent';

/** How long a resource type has been refused, and what that means once it is no short disturbance any more. */
export class Availability {
  readonly #options: AvailabilityOptions;
  /** Since when the server refuses, monotonic ms. */
  #since: number | undefined;
  #error: Error | undefined;
  #isAbsent = false;

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  /** Why nothing is known of the objects. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** The server has no such type, in any version. */
  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  /** The outcome of a refusal; undefined while it may be a short disturbance. */
  async refused({ error, missing, listed }: Refusal, signal: AbortSignal): Promise<RefusalOutcome | undefined> {
    const now = this.#options.clock.monotonic();
    this.#since ??= now;
    if (now - this.#since < (listed ? REFUSED_AFTER_MS.listed : REFUSED_AFTER_MS.atFirst)) return undefined;
    if (!missing) return this.#fail(error);
    const { client, type, log } = this.#options;
    try {
      const versions = await client.servedVersions(type, { signal });
      if (versions.includes(type.version)) return undefined;
      // Objects that another version shows exist: to act as if there were none could do harm.
      if (versions.length > 0) return this.#fail(new OtherVersionError(type, versions));
      return this.#absent();
    } catch (thrown) {
      log?.warn(
        { err: toError(thrown), resource: type.plural },
        'failed to find out whether the API server has this resource',
      );
      return undefined;
    }
  }

  /** The server did something else than to refuse. What it refused for long counts until the next list is complete. */
  answered(): void {
    if (this.#error === undefined && !this.#isAbsent) this.#since = undefined;
  }

  /** A list is complete. */
  listed(): void {
    this.#since = this.#error = undefined;
    this.#isAbsent = false;
  }

  #fail(error: Error): RefusalOutcome {
    this.#error = error;
    this.#isAbsent = false;
    return 'forbidden';
  }

  #absent(): RefusalOutcome {
    const { type, log } = this.#options;
    const resource = `${type.plural}.${type.group}`;
    if (!this.#isAbsent) log?.error({ resource }, 'the API server does not have this resource: install its CRD');
    this.#error = undefined;
    this.#isAbsent = true;
    return 'absent';
  }
}
