/** The memory for what the relay keeps of tenants, such as open requests, declarations and prompts: bounded for the process, and shared fairly. */

/** What is kept of one tenant. */
export interface KeptAccount {
  /** Whether so many bytes more may be kept. They count from then on. */
  mayKeep(bytes: number): boolean;
  /** Nothing is kept of it any more. */
  close(): void;
}

export interface KeptMemoryOptions {
  /** Bytes of all tenants together. */
  readonly total: number;
  readonly clock: { monotonic(): number };
}

interface Known {
  /** Bytes that are kept of the tenant now. It walks over all of its sessions. */
  readonly measure: () => number;
  measured: number;
  /** Bytes that were allowed since. What has been freed meanwhile is not known. */
  added: number;
}

/** Between two measurements, ms: a tenant that is refused again and again must not cost more than one that is not. */
const MEASURE_EVERY_MS = 100;
/** After which it is measured in any case: some things are kept without being asked for, such as events for a client that catches up. */
const STALE_MS = 10_000;

/**
 * Beyond the bound a tenant gets more only up to a fair share of it, the same for each tenant of which something is kept; so one that takes
 * everything cannot keep others from theirs. All together are then at most twice the bound. Nothing that is kept is given up. Until the bound is
 * reached an allowed request costs two additions: what is kept is measured only where what was allowed since would exceed it, and every ten seconds.
 */
export class KeptMemory {
  readonly #options: KeptMemoryOptions;
  readonly #known = new Set<Known>();
  /** Of all tenants, by the last measurement and what was allowed since. At least what is kept. */
  #sum = 0;
  #measuredAt: number;

  constructor(options: KeptMemoryOptions) {
    this.#options = options;
    this.#measuredAt = options.clock.monotonic() - MEASURE_EVERY_MS;
  }

  /** An account of a tenant, until it is closed. */
  open(measure: () => number): KeptAccount {
    const known: Known = { measure, measured: 0, added: 0 };
    this.#known.add(known);
    return {
      mayKeep: (bytes) => this.#mayKeep(known, bytes),
      close: () => {
        if (this.#known.delete(known)) this.#sum -= bytesOf(known);
      },
    };
  }

  #mayKeep(tenant: Known, bytes: number): boolean {
    const { total } = this.#options;
    const isStale = this.#options.clock.monotonic() - this.#measuredAt >= STALE_MS;
    if (isStale || this.#sum + bytes > total) this.#measure();
    if (this.#sum + bytes > total && bytesOf(tenant) + bytes > this.#fairShare(tenant)) return false;
    tenant.added += bytes;
    this.#sum += bytes;
    return true;
  }

  #fairShare(tenant: Known): number {
    const others = [...this.#known].filter((each) => each !== tenant && bytesOf(each) > 0).length;
    return this.#options.total / (others + 1);
  }

  #measure(): void {
    const now = this.#options.clock.monotonic();
    if (now - this.#measuredAt < MEASURE_EVERY_MS) return;
    this.#measuredAt = now;
    this.#sum = 0;
    for (const known of this.#known) {
      known.measured = known.measure();
      known.added = 0;
      this.#sum += known.measured;
    }
  }
}

function bytesOf({ measured, added }: Known): number {
  return measured + added;
}
