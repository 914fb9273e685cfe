/** Which tenants clients wait for, as the gateway says, and which of them may start now. */
import type { Clock } from '../kube/clock/clock.ts';
import { fromKey, keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { WakeAsk } from '../resources/operator-internal.ts';

/** What the queue is made of. */
export interface WakesOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** `--max-concurrent-wakes`. */
  readonly max: number;
  /** Keys of the tenants that are being started, as the cache shows them. */
  readonly waking: () => readonly string[];
}

interface Asked {
  /** Of `status.hibernation`, as the gateway knew it. */
  epoch: number;
  at: number;
  /** When it was told that it may start. */
  offeredAt?: number | undefined;
}

/** The gateway asks again every second while a client waits: one that has left is forgotten after this time. */
const ASKED_MS = 5_000;
/** How long a tenant is first of those that wait after it was told that it may start: one that is paused, say, does not. */
const OFFER_MS = 5_000;
/** How long a place is kept that the cache does not show yet. */
const TRUST_MS = 30_000;

/**
 * First come, first served: a tenant is started once however many of its clients wait, so none is starved by another. Who may start and
 * does not goes to the end. Nothing is saved that
 * the cluster knows: to a new process the gateway says again who waits, and the status of tenants says which are being started.
 */
export class Wakes {
  readonly #options: WakesOptions;
  readonly #listeners: ((tenant: NamespacedName) => void)[] = [];
  /** In the order of the first time. */
  readonly #asked = new Map<string, Asked>();
  readonly #granted = new Map<string, number>();
  /** Of those that are being started: when this process heard of it, and how much had passed by then. */
  readonly #started = new Map<string, { readonly at: number; readonly foundAtMs: number }>();

  constructor(options: WakesOptions) {
    this.#options = options;
  }

  /** Calls `fn` for each tenant that has to be decided on. */
  onChange(fn: (tenant: NamespacedName) => void): void {
    this.#listeners.push(fn);
  }

  /** What a replica of the gateway asks. */
  ask(asks: readonly WakeAsk[]): void {
    const at = this.#options.clock.monotonic();
    this.#forgetLeft(at);
    for (const [key, known] of this.#asked) {
      if (known.offeredAt === undefined || at - known.offeredAt < OFFER_MS) continue;
      known.offeredAt = undefined;
      this.#toEnd(key);
    }
    const fresh: string[] = [];
    for (const ask of asks) {
      const key = keyOf(ask);
      const known = this.#asked.get(key);
      if (known === undefined || known.epoch < ask.epoch) fresh.push(key);
      if (known === undefined) this.#asked.set(key, { epoch: ask.epoch, at });
      else Object.assign(known, { epoch: Math.max(known.epoch, ask.epoch), at });
    }
    this.#tell(new Set([...fresh, ...this.#offer()]));
  }

  /** Whether a client has waited for the tenant since it was in this state: what was asked before says nothing of it. */
  isAsked(tenant: NamespacedName, epoch: number): boolean {
    this.#forgetLeft(this.#options.clock.monotonic());
    return (this.#asked.get(keyOf(tenant))?.epoch ?? -1) >= epoch;
  }

  /** Whether the tenant may start now; then it has a place until `settle` says otherwise. */
  takePlace(tenant: NamespacedName): boolean {
    const key = keyOf(tenant);
    if (!this.#used().has(key) && !this.#next().includes(key)) return false;
    this.#granted.set(key, this.#options.clock.monotonic());
    return true;
  }

  /**
   * For how long the tenant is being started, and how much of that had passed when this process heard of it, in ms. `elapsedMs`: how much has
   * passed now by the wall clock, which says nothing more when another one has begun it and this one has heard of it.
   */
  waking(tenant: NamespacedName, elapsedMs: number): { readonly wakingMs: number; readonly foundAtMs: number } {
    const key = keyOf(tenant);
    const now = this.#options.clock.monotonic();
    const known = this.#started.get(key) ?? { at: now, foundAtMs: elapsedMs };
    this.#started.set(key, known);
    return { wakingMs: known.foundAtMs + now - known.at, foundAtMs: known.foundAtMs };
  }

  /** What became of the tenant: unless it is being started it has no place, and when it runs nobody waits for it. `Begun`: by this process. */
  settle(tenant: NamespacedName, state: 'Begun' | 'Waking' | 'Asleep' | 'Running'): void {
    const key = keyOf(tenant);
    const isWaking = state === 'Begun' || state === 'Waking';
    if (!isWaking) this.#started.delete(key);
    else if (state === 'Begun') this.#started.set(key, { at: this.#options.clock.monotonic(), foundAtMs: 0 });
    if (state === 'Running') this.#asked.delete(key);
    const isFree = !isWaking && this.#granted.delete(key);
    // It was decided on, and did not start.
    const isBehind = state === 'Asleep' && this.#asked.get(key)?.offeredAt !== undefined;
    if (isBehind) this.#toEnd(key);
    if (isFree || isBehind) this.#tell(this.#offer());
  }

  /** The tenant is no longer being started, as the cache shows: the next one may. */
  freed(): void {
    this.#tell(this.#offer());
  }

  /** For metrics: tenants that wait for a place, and those that are being started. */
  counts(): { readonly waiting: number; readonly waking: number } {
    const used = this.#used();
    return { waiting: this.#waiting(used).length, waking: used.size };
  }

  /** Those that may start now. */
  #next(): string[] {
    const used = this.#used();
    return this.#waiting(used).slice(0, Math.max(0, this.#options.max - used.size));
  }

  /** Those of them that do not know it yet. */
  #offer(): string[] {
    const at = this.#options.clock.monotonic();
    return this.#next().filter((key) => {
      const known = this.#asked.get(key);
      if (known === undefined || known.offeredAt !== undefined) return false;
      known.offeredAt = at;
      return true;
    });
  }

  #toEnd(key: string): void {
    const known = this.#asked.get(key);
    this.#asked.delete(key);
    if (known !== undefined) this.#asked.set(key, known);
  }

  #waiting(used: ReadonlySet<string>): string[] {
    this.#forgetLeft(this.#options.clock.monotonic());
    return [...this.#asked.keys()].filter((key) => !used.has(key));
  }

  #used(): Set<string> {
    const now = this.#options.clock.monotonic();
    for (const [key, at] of this.#granted) if (now - at > TRUST_MS) this.#granted.delete(key);
    return new Set([...this.#options.waking(), ...this.#granted.keys()]);
  }

  #forgetLeft(now: number): void {
    for (const [key, { at }] of this.#asked) if (now - at > ASKED_MS) this.#asked.delete(key);
  }

  #tell(keys: Iterable<string>): void {
    for (const key of keys) for (const listener of this.#listeners) listener(fromKey(key));
  }
}
