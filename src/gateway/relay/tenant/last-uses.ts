/** The clock by which tenants are idle: when each was last used at this replica. */
import type { Clock } from '../../../kube/clock/clock.ts';
import { keyOf } from '../../../kube/types/types.ts';
import type { TenantRef } from '../../model.ts';

/** It outlives what the relay knows of a tenant, which may move to another replica. */
export class LastUses {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #startedAt: number;
  /** Monotonic ms, by the key of the tenant: at most one entry for each that exists. */
  readonly #usedAt = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
  }

  /** For how long this replica knows what is used, in ms. */
  get upMs(): number {
    return Math.floor(this.#clock.monotonic() - this.#startedAt);
  }

  used(tenant: TenantRef): void {
    this.#usedAt.set(keyOf(tenant), this.#clock.monotonic());
  }

  /** For how long the tenant was not used here, in ms. */
  idleMs(tenant: TenantRef): number {
    return Math.floor(this.#clock.monotonic() - (this.#usedAt.get(keyOf(tenant)) ?? this.#startedAt));
  }

  /** The tenant is gone. */
  forget(tenant: TenantRef): void {
    this.#usedAt.delete(keyOf(tenant));
  }

  /** Keys of the tenants that were used here. */
  keys(): Iterable<string> {
    return this.#usedAt.keys();
  }
}
