/** Timers by name, of which each runs once at a time. */

interface Cancellable {
  cancel(): void;
}

/** Of one owner. */
export class Timers<Name extends string> {
  readonly #setTimer: (ms: number, fn: () => void) => Cancellable;
  readonly #running = new Map<Name, Cancellable>();

  constructor(setTimer: (ms: number, fn: () => void) => Cancellable) {
    this.#setTimer = setTimer;
  }

  /** Calls `fn` after `ms`, unless the timer runs already or is stopped before. */
  start(name: Name, ms: number, fn: () => void): void {
    if (this.#running.has(name)) return;
    const timer = this.#setTimer(ms, () => {
      this.#running.delete(name);
      fn();
    });
    this.#running.set(name, timer);
  }

  stop(name: Name): void {
    this.#running.get(name)?.cancel();
    this.#running.delete(name);
  }

  stopAll(): void {
    for (const name of this.#running.keys()) this.stop(name);
  }
}
