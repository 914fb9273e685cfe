import { sleepOn, type Clock, type Timer } from '../../src/kube/clock/clock.ts';

interface Pending {
  at: number;
  sequence: number;
  fn: () => void;
}

/** A clock that the test moves. Wall and monotonic time move together unless `jumpWallClock` is used. */
export class FakeClock implements Clock {
  #elapsed = 0;
  #epoch: number;
  #sequence = 0;
  readonly #pending = new Set<Pending>();

  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch;
  }

  now(): number {
    return this.#epoch + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  setTimer(ms: number, fn: () => void): Timer {
    const timer = { at: this.#elapsed + ms, sequence: this.#sequence++, fn };
    this.#pending.add(timer);
    return { cancel: () => this.#pending.delete(timer) };
  }

  /** Timers that have neither fired nor been cancelled: what a stopped component must not leave behind. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** ms until the next timer fires; undefined when there is none. */
  get nextTimerIn(): number | undefined {
    const next = this.#next();
    return next && next.at - this.#elapsed;
  }

  /** Passes time, firing timers in order; promises that they resolve run before the next one. */
  async advance(ms: number): Promise<void> {
    const target = this.#elapsed + ms;
    await settle();
    for (let next = this.#next(); next && next.at <= target; next = this.#next()) {
      this.#pending.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.fn();
      await settle();
    }
    this.#elapsed = target;
  }

  /** The process is paused (SIGSTOP, a long garbage collection): time passes, then every timer that is due fires late. */
  async pause(ms: number): Promise<void> {
    this.#elapsed += ms;
    await this.advance(0);
  }

  /** Someone sets the wall clock; monotonic time does not notice. */
  jumpWallClock(ms: number): void {
    this.#epoch += ms;
  }

  #next(): Pending | undefined {
    let first: Pending | undefined;
    for (const timer of this.#pending) {
      if (!first || timer.at < first.at || (timer.at === first.at && timer.sequence < first.sequence)) first = timer;
    }
    return first;
  }
}

/** Lets promise chains and setImmediate callbacks that are ready run to their end. */
export async function settle(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
