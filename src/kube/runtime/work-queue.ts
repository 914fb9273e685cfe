/** The queue of keys between informers and workers, as client-go's rate-limiting work queue. */
import { exponentialDelay, type BackoffOptions } from '../clock/backoff.ts';
import type { Clock, Timer } from '../clock/clock.ts';
import { coalescedDeadline } from '../clock/coalesce.ts';
import { TimerQueue } from '../clock/timer-queue.ts';

/** Receives what a queue does; all times in ms. */
export interface WorkQueueMetrics {
  added(): void;
  depth(length: number): void;
  /** A worker took a key that had waited this long. */
  started(waitedMs: number): void;
  finished(workedMs: number): void;
  retried(): void;
}

/** What a queue needs, and its back-off. */
export interface WorkQueueOptions {
  clock: Clock;
  metrics?: WorkQueueMetrics;
  /** Delay of the first retry of a key; doubles with every further one. Default 5 ms. */
  baseDelayMs?: number;
  /** Ceiling of that delay. Default 1,000 s. */
  maxDelayMs?: number | undefined;
}

/**
 * From this wait on, in ms, keys share one timer of the clock. Such waits are rounded up in any case. Each key of an idle process waits for
 * about a minute, and a timer of node is several objects, and a list for each different number of ms.
 */
const SHARED_TIMER_MS = 5000;

interface Delayed {
  due: number;
  timer: Timer;
}

/**
 * A queue of keys to reconcile, as client-go's rate-limited work queue: a key waits in it once however often it is
 * added, is never with two workers at once, and is handed out again if it was added while being worked on.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #metrics: WorkQueueMetrics | undefined;
  readonly #backoff: BackoffOptions;
  /** Keys ready for a worker, in order, with the time they became so. */
  readonly #ready = new Map<string, number>();
  /** Keys that a worker has, with the time it took them. */
  readonly #processing = new Map<string, number>();
  /** Keys added while a worker has them: they become ready when it is done, so that no change is missed. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, Delayed>();
  readonly #longWaits: TimerQueue;
  readonly #failures = new Map<string, number>();
  #waiting: (() => void)[] = [];
  #shutDown = false;

  constructor({ clock, metrics, baseDelayMs = 5, maxDelayMs = 1_000_000 }: WorkQueueOptions) {
    this.#clock = clock;
    this.#longWaits = new TimerQueue(clock);
    this.#metrics = metrics;
    this.#backoff = { baseMs: baseDelayMs, maxMs: maxDelayMs };
  }

  /** How many keys are ready for a worker; those delayed or being worked on don't count. */
  get length(): number {
    return this.#ready.size;
  }

  add(key: string): void {
    if (this.#shutDown || this.#ready.has(key) || this.#again.has(key)) return;
    this.#metrics?.added();
    if (this.#processing.has(key)) this.#again.add(key);
    else this.#makeReady(key);
  }

  /** Adds the key after `delayMs`, rounded up when that is long. Of several delays for one key the one that ends first counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#shutDown) return;
    if (!(delayMs > 0)) {
      this.add(key);
      return;
    }
    const due = coalescedDeadline(this.#clock.monotonic(), delayMs);
    const earlier = this.#delayed.get(key);
    if (earlier && earlier.due <= due) return;
    earlier?.timer.cancel();
    this.#delayed.set(key, { due, timer: this.#timerFor(key, due) });
  }

  /**
   * Adds the key after its back-off, which doubles with each call until `forget`. `atLeastMs` is the API server's
   * `Retry-After`, if any.
   */
  addRateLimited(key: string, atLeastMs = 0): void {
    if (this.#shutDown) return;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#metrics?.retried();
    this.addAfter(key, Math.max(atLeastMs, exponentialDelay(this.#backoff, failures)));
  }

  /** Adds every key that waits for its back-off after `delayMs()`, if that is earlier: what they failed for may be over. */
  retryFailed(delayMs: () => number): void {
    for (const key of this.#failures.keys()) this.addAfter(key, delayMs());
  }

  /** Resets the back-off of the key. It does not remove the key from the queue. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** How often the key was added rate-limited since it was last forgotten. */
  numRequeues(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Workers start now. The keys of a standby have waited for the lease until then, which is no delay of the queue. */
  start(): void {
    const now = this.#clock.monotonic();
    for (const key of this.#ready.keys()) this.#ready.set(key, now);
  }

  /** The next key, once there is one; `undefined` after `shutDown`. Call `done` with it when the work is done. */
  async get(): Promise<string | undefined> {
    // A waiting worker is only woken and takes a key in a later turn of the event loop: if it got the key at once, the first of
    // several events that arrive together would start a reconcile, and the others would cause another one.
    while (this.#ready.size === 0 && !this.#shutDown) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const next = this.#ready.keys().next();
    return next.done ? undefined : this.#take(next.value);
  }

  /** Call it when a worker has finished with the key, with or without an error. */
  done(key: string): void {
    const started = this.#processing.get(key);
    if (started === undefined) return;
    this.#processing.delete(key);
    this.#metrics?.finished(this.#clock.monotonic() - started);
    if (this.#again.delete(key) && !this.#shutDown) this.#makeReady(key);
  }

  /** How long workers have been working on their keys, ms each. */
  inProgressMs(): number[] {
    const now = this.#clock.monotonic();
    return [...this.#processing.values()].map((started) => now - started);
  }

  /**
   * Returns no more keys and cancels every timer. Waiting keys are dropped, unlike in client-go: reconciles are level-based, so the
   * next process finds the same work.
   */
  shutDown(): void {
    this.#shutDown = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    this.#ready.clear();
    this.#again.clear();
    this.#failures.clear();
    this.#metrics?.depth(0);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #makeReady(key: string): void {
    this.#ready.set(key, this.#clock.monotonic());
    this.#metrics?.depth(this.#ready.size);
    this.#waiting.shift()?.();
  }

  #take(key: string): string {
    const now = this.#clock.monotonic();
    const readySince = this.#ready.get(key) ?? now;
    this.#ready.delete(key);
    this.#processing.set(key, now);
    this.#metrics?.depth(this.#ready.size);
    this.#metrics?.started(now - readySince);
    return key;
  }

  #timerFor(key: string, due: number): Timer {
    const onDue = (): void => {
      const remaining = due - this.#clock.monotonic();
      // A timer may fire early: by a fraction of a millisecond, or after 24.8 days, the longest there is.
      if (remaining > 1) {
        this.#delayed.set(key, { due, timer: this.#timerFor(key, due) });
        return;
      }
      this.#delayed.delete(key);
      this.add(key);
    };
    const ms = due - this.#clock.monotonic();
    return ms < SHARED_TIMER_MS ? this.#clock.setTimer(ms, onDue) : this.#longWaits.setTimerAt(due, onDue);
  }
}
