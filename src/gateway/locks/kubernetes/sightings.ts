/** Since when locks are seen unchanged, by this process's clock: that of their holders may be wrong by any amount. */
import type { Clock } from '../../../kube/clock/clock.ts';
import type { HeldInLease } from './session-lease.ts';

/** Locks that are remembered: of one that was forgotten the time begins anew. */
const MAX_SEEN = 10_000;

interface Sighting {
  /** What changes with each renewal, and with each holder. */
  readonly sign: string;
  readonly since: number;
}

export class Sightings {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #seen = new Map<string, Sighting>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Whether the lock was seen without a renewal for as long as it is held. `name`: of its Lease. */
  isExpired(name: string, uid: string, { holder, epoch, seconds, renewTime }: HeldInLease): boolean {
    const now = this.#clock.monotonic();
    const sign = JSON.stringify([uid, holder, epoch, renewTime, seconds]);
    const seen = this.#seen.get(name);
    if (seen?.sign === sign) return now - seen.since >= seconds * 1_000;
    this.#seen.delete(name);
    this.#seen.set(name, { sign, since: now });
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > MAX_SEEN && oldest !== undefined) this.#seen.delete(oldest);
    return false;
  }

  /** Nobody holds it. */
  forget(name: string): void {
    this.#seen.delete(name);
  }
}
