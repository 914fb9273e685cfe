/** Notices when resource versions go back: when etcd was restored from a backup while the operator runs. */
import type { KubeClient, ListOptions } from '../client/client.ts';
import type { ResourceType } from '../types/resource.ts';
import { isOlderVersion } from '../types/resource-version.ts';
import { RestoredError } from './relist.ts';

/**
 * The latest version that a reflector has received. Only consistent reads are compared with it: they are at least as new as everything
 * that was read before, from whichever API server. One that lags behind makes them wait, or fail, and never answers with less.
 */
export class VersionGuard {
  readonly #type: ResourceType;
  #seen: string | undefined;
  #doubtful = false;
  #restored = false;

  constructor(type: ResourceType) {
    this.#type = type;
  }

  /** The data were restored and not listed since: what is known has versions that say nothing. */
  get restored(): boolean {
    return this.#restored;
  }

  /** From an event, a bookmark or a list. */
  received(version: string | undefined): void {
    this.#seen = version;
  }

  /** The server did not answer, so it may have been restored meanwhile. */
  doubt(): void {
    this.#doubtful = true;
  }

  /**
   * Before a watch is resumed: from a version that is still to come it would receive nothing, without an error. Returns whether it
   * was necessary. Throws RestoredError.
   */
  async check(client: Pick<KubeClient, 'list'>, selection: ListOptions, signal: AbortSignal): Promise<boolean> {
    if (!this.#doubtful) return false;
    // A single object, so that it costs as little as the version alone.
    const { resourceVersion } = await client.list(this.#type, { ...selection, limit: 1, signal });
    this.#assertNotOlder(resourceVersion);
    this.#doubtful = false;
    return true;
  }

  /** The version of a complete list. Throws RestoredError if that list must be read again, afresh. */
  listed(version: string): void {
    this.#assertNotOlder(version);
    this.#seen = version;
    this.#doubtful = false;
  }

  /** The list that was begun afresh is stored. */
  startedAfresh(): void {
    this.#restored = false;
  }

  #assertNotOlder(found: string): void {
    if (this.#seen === undefined || !isOlderVersion(found, this.#seen)) return;
    const error = new RestoredError(this.#type.plural, this.#seen, found);
    this.#restored = true;
    this.#seen = undefined;
    throw error;
  }
}
