/** Many timers over a single one of the clock. */
import type { Clock, Timer } from './clock.ts';
import { coalescedDeadline } from './coalesce.ts';

interface Entry {
  /** When it is due, monotonic ms, rounded up to a whole number of quanta. */
  readonly at: number;
  readonly fn: () => void;
  /** Its index in the heap; -1 once it has fired or was cancelled. */
  index: number;
}

/** Timers this close to each other fire together. Far below any interval or timeout that a user may set (1 s). */
const QUANTUM_MS = 20;

/**
 * Many timers over one of the clock's: a binary heap, of which only the earliest is armed. Timers are rounded up to
 * quanta, long ones further (`coalescedDeadline`), so that a thousand servers wake the process at most 50 times a second.
 * A cancelled timer is removed.
 */
export class TimerQueue implements Pick<Clock, 'setTimer'> {
  readonly #clock: Clock;
  readonly #heap: Entry[] = [];
  #armed: { readonly at: number; readonly timer: Timer } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers that have neither fired nor been cancelled. */
  get size(): number {
    return this.#heap.length;
  }

  /** When a timer that is set at `now` for `ms` fires, monotonic ms. */
  dueAt(now: number, ms: number): number {
    // At least one quantum, also for 0 ms: sockets must get their turn before the caller runs again.
    return Math.ceil(coalescedDeadline(now, Math.max(ms, 1)) / QUANTUM_MS) * QUANTUM_MS;
  }

  setTimer(ms: number, fn: () => void): Timer {
    const entry: Entry = { at: this.dueAt(this.#clock.monotonic(), ms), fn, index: this.#heap.length };
    this.#heap.push(entry);
    this.#rise(entry);
    this.#arm();
    return { cancel: () => this.#remove(entry) };
  }

  #arm(): void {
    const [first] = this.#heap;
    // If the clock's timer fires too early, it only arms the next: cheaper than to re-arm for each cancelled deadline.
    if (first === undefined || (this.#armed !== undefined && this.#armed.at <= first.at)) return;
    this.#armed?.timer.cancel();
    const timer = this.#clock.setTimer(Math.max(0, first.at - this.#clock.monotonic()), () => this.#fire());
    this.#armed = { at: first.at, timer };
  }

  #fire(): void {
    this.#armed = undefined;
    const now = this.#clock.monotonic();
    try {
      for (let [first] = this.#heap; first !== undefined && first.at <= now; [first] = this.#heap) {
        this.#remove(first);
        first.fn();
      }
    } finally {
      this.#arm();
    }
  }

  #remove(entry: Entry): void {
    const { index } = entry;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#heap.pop();
    if (last !== undefined && last !== entry) {
      this.#place(last, index);
      this.#sink(last);
      this.#rise(last);
    }
    // The process may end when nothing is left to wait for.
    if (this.#heap.length === 0) {
      this.#armed?.timer.cancel();
      this.#armed = undefined;
    }
  }

  #place(entry: Entry, index: number): void {
    entry.index = index;
    this.#heap[index] = entry;
  }

  #rise(entry: Entry): void {
    while (entry.index > 0) {
      const { index } = entry;
      const parent = this.#heap[(index - 1) >> 1];
      if (parent === undefined || parent.at <= entry.at) return;
      const above = parent.index;
      this.#place(parent, index);
      this.#place(entry, above);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[entry.index * 2 + 1];
      const right = this.#heap[entry.index * 2 + 2];
      const child = left !== undefined && right !== undefined && right.at < left.at ? right : left;
      if (child === undefined || child.at >= entry.at) return;
      const { index } = child;
      this.#place(child, entry.index);
      this.#place(entry, index);
    }
  }
}
