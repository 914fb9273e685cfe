/** A watchdog timer: notices when nothing happens any more. */
import type { Clock, Timer } from './clock.ts';

/** Calls back once when it was not fed for a while. Feeding costs no timer: the time is checked when the one timer fires. */
export class Watchdog implements Disposable {
  readonly #clock: Clock;
  readonly #onSilence: (silentMs: number) => void;
  #limitMs: number;
  #fedAt: number;
  #timer: Timer;

  constructor(clock: Clock, limitMs: number, onSilence: (silentMs: number) => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onSilence = onSilence;
    this.#fedAt = clock.monotonic();
    this.#timer = clock.setTimer(limitMs, () => this.#check());
  }

  feed(): void {
    this.#fedAt = this.#clock.monotonic();
  }

  /** Restarts with another limit. */
  limit(limitMs: number): void {
    this.#limitMs = limitMs;
    this.#timer.cancel();
    this.feed();
    this.#timer = this.#clock.setTimer(limitMs, () => this.#check());
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #check(): void {
    const silentMs = this.#clock.monotonic() - this.#fedAt;
    if (silentMs >= this.#limitMs) this.#onSilence(silentMs);
    else this.#timer = this.#clock.setTimer(this.#limitMs - silentMs, () => this.#check());
  }
}
