/** The memory for what clients have yet to read: bounded for the process, because each alone may have much. */

/** A client, as far as it takes memory. */
export interface Unread {
  /** `namespace/name` of its tenant. */
  readonly tenant: string;
  /** Bytes that are kept for it now. */
  readonly queuedBytes: number;
  /** Closes its connection, which frees them. */
  readonly cut: () => void;
}

/** The bounds, in bytes. */
export interface UnreadLimits {
  readonly total: number;
  /** What each client may have without being counted: most have less at any time. */
  readonly free: number;
}

/** More is always counted. */
const MAX_FREE = 64 * 1024;

/**
 * The bounds for so many clients. All that is not counted is at most half as much as the bound: many clients with a little each would pass it
 * unseen, and with it their tenant, which has up to a quarter of them.
 */
export function unreadLimits(total: number, maxClients: number): UnreadLimits {
  return { total, free: Math.min(MAX_FREE, Math.floor(total / 2 / maxClients)) };
}

/**
 * Counts what is kept for clients. Where it is too much, the tenant with the most loses its client with the most: one that opens many connections
 * and reads none of them has its own closed, not those of others.
 */
export class UnreadMemory {
  readonly #limits: UnreadLimits;
  /** As they were when they were told last: a client may have read since. */
  readonly #known = new Map<Unread, number>();
  #total = 0;

  constructor(limits: UnreadLimits) {
    this.#limits = limits;
  }

  /** Bytes that were counted. */
  get total(): number {
    return this.#total;
  }

  /** Something was queued for the client, or it has read all. It may be cut during the call. */
  note(client: Unread): void {
    this.#count(client);
    if (this.#total <= this.#limits.total) return;
    for (const each of this.#known.keys()) this.#count(each);
    while (this.#total > this.#limits.total) {
      const largest = this.#largest();
      this.forget(largest);
      largest.cut();
    }
  }

  /** Its connection has ended. */
  forget(client: Unread): void {
    this.#total -= this.#known.get(client) ?? 0;
    this.#known.delete(client);
  }

  #count(client: Unread): void {
    const bytes = client.queuedBytes;
    if (bytes <= this.#limits.free) return this.#known.size === 0 ? undefined : this.forget(client);
    this.#total += bytes - (this.#known.get(client) ?? 0);
    this.#known.set(client, bytes);
  }

  #largest(): Unread {
    const tenants = new Map<string, number>();
    for (const [{ tenant }, bytes] of this.#known) tenants.set(tenant, (tenants.get(tenant) ?? 0) + bytes);
    const [tenant] = [...tenants].reduce((a, b) => (b[1] > a[1] ? b : a));
    const theirs = [...this.#known].filter(([client]) => client.tenant === tenant);
    return theirs.reduce((a, b) => (b[1] > a[1] ? b : a))[0];
  }
}
