/** Who waits for the home of a tenant, each with a deadline. */
import type { Clock } from '../../kube/clock/clock.ts';

interface Waiter {
  resolve(home: string): void;
  reject(error: Error): void;
}

/** Many may wait for one tenant. */
export class Waiting {
  readonly #clock: Pick<Clock, 'setTimer'>;
  readonly #limitMs: number;
  readonly #onLate: (tenant: string, isLast: boolean) => Error;
  readonly #waiters = new Map<string, Set<Waiter>>();

  /** `onLate` is called when a deadline has passed, and returns what who waited is told; `isLast`: nobody waits for the tenant any more. */
  constructor(clock: Pick<Clock, 'setTimer'>, limitMs: number, onLate: (tenant: string, isLast: boolean) => Error) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onLate = onLate;
  }

  /** Resolves to the id of the home. */
  wait(tenant: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#limitMs, () => this.#late(tenant, waiter));
      const waiter: Waiter = {
        resolve: (home) => {
          timer.cancel();
          resolve(home);
        },
        reject: (error) => {
          timer.cancel();
          reject(error);
        },
      };
      const waiters = this.#waiters.get(tenant) ?? new Set();
      this.#waiters.set(tenant, waiters.add(waiter));
    });
  }

  #late(tenant: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(tenant);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(tenant);
    waiter.reject(this.#onLate(tenant, !this.#waiters.has(tenant)));
  }

  resolve(tenant: string, home: string): void {
    const waiters = this.#waiters.get(tenant) ?? [];
    this.#waiters.delete(tenant);
    for (const waiter of waiters) waiter.resolve(home);
  }

  rejectAll(error: Error): void {
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(error);
    this.#waiters.clear();
  }
}
