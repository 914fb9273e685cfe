/** Many timers over a single one of the clock. */
import type { Clock, Timer } from './clock.ts';
import { coalescedDeadline } from './coalesce.ts';

/** One object for each timer: thousands are set anew every ten seconds, and live long enough to be moved to the old heap. */
class Entry implements Timer {
  /** When it is due, monotonic ms, rounded up to a whole number of quanta. */
  readonly at: number;
  readonly fn: () => void;
  /** Its index in the heap; -1 once it has fired or was cancelled. */
  index: number;
  readonly #queue: { remove(entry: Entry): void };

  constructor(at: number, fn: () => void, index: number, queue: { remove(entry: Entry): void }) {
    this.at = at;
    this.fn = fn;
    this.index = index;
    this.#queue = queue;
  }

  cancel(): void {
    this.#queue.remove(this);
  }
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
  readonly #removal = { remove: (entry: Entry): void => this.#remove(entry) };
  #armed: { readonly at: number; readonly timer: Timer } | undefined;
  #firing = false;

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
    return this.setTimerAt(this.dueAt(this.#clock.monotonic(), ms), fn);
  }

  /** Calls `fn` once at `at`, monotonic ms, which is rounded up to a whole quantum only. */
  setTimerAt(at: number, fn: () => void): Timer {
    const due = Math.ceil(at / QUANTUM_MS) * QUANTUM_MS;
    const entry = new Entry(due, fn, this.#heap.length, this.#removal);
    this.#heap.push(entry);
    this.#rise(entry);
    this.#arm();
    return entry;
  }

  #arm(): void {
    const [first] = this.#heap;
    // If the clock's timer fires too early, it only arms the next: cheaper than to re-arm for each cancelled deadline.
    if (first === undefined || this.#firing || (this.#armed !== undefined && this.#armed.at <= first.at)) return;
    this.#armed?.timer.cancel();
    const timer = this.#clock.setTimer(Math.max(0, first.at - this.#clock.monotonic()), () => this.#fire());
    this.#armed = { at: first.at, timer };
  }

  #fire(): void {
    this.#armed = undefined;
    const now = this.#clock.monotonic();
    // What is set meanwhile is armed at the end, or the first would wake the process again for those that fire now.
    this.#firing = true;
    try {
      for (let [first] = this.#heap; first !== undefined && first.at <= now; [first] = this.#heap) {
        this.#remove(first);
        first.fn();
      }
    } finally {
      this.#firing = false;
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
