/** Whether a store answers, for who wants to know without asking it. */
import type { Availability, CoordinationUnavailableError } from './store.ts';

/** Keeps it, and tells of changes. */
export class AvailabilityBoard {
  #now: Availability = { state: 'Unused' };
  readonly #listeners = new Set<(now: Availability) => void>();

  get now(): Availability {
    return this.#now;
  }

  onChange(listener: (now: Availability) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  answered(): void {
    if (this.#now.state !== 'Available') this.#set({ state: 'Available' });
  }

  failed({ reason, message }: CoordinationUnavailableError): void {
    const before = this.#now;
    if (before.state === 'Unavailable' && before.reason === reason && before.message === message) return;
    this.#set({ state: 'Unavailable', reason, message });
  }

  #set(now: Availability): void {
    this.#now = now;
    for (const listener of this.#listeners) listener(now);
  }
}
